import ArgumentParser

/// Whether clients and gateways of a cluster that is made speak TLS.
enum ClientTLS: String, ExpressibleByArgument, CaseIterable, Sendable {
    case on, off

    var isOn: Bool { self == .on }
}
