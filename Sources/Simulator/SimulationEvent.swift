import Cores
import Messages

/// What is to happen in a run. Small, because the heap moves it about: what is large lies in a box.
enum SimulationEvent {
    case tick(host: Int, life: Int)
    case deliver(to: Int, from: HostID, Parcel)
    case synced(host: Int, life: Int, position: UInt64)
    case flushed(host: Int, life: Int, Box<StateFlush>)
    /// A `HostCheck` of this host's is done.
    case checked(host: Int, life: Int, Box<HostInput>)
    case staged(host: Int, life: Int, Box<BucketStaging>)
    case gatewayTick
    case toGateway(from: Int, Box<HostReply>, session: SessionID)
    case fromGateway(to: Int, Box<GatewayMessage>, session: SessionID)
    case fault
    case clocks
    case restart(host: Int)
    /// A host whose storage failed is stopped, and started later.
    case replaced(host: Int, life: Int)
    case heal
    case byzantine(to: Int, from: HostID, Box<Distorted>)
    case byzantineReply(from: Int, Box<DistortedReply>, session: SessionID)
}

final class Box<Value> {
    let value: Value
    init(_ value: Value) { self.value = value }
}

/// One message on its way to one or many hosts, which verify the same bytes, and of a proposal each its own share.
final class Parcel {
    let message: HostMessage
    var verified: Verified<HostMessage>?
    init(_ message: HostMessage) { self.message = message }
}
