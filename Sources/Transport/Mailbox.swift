import NIOCore
import Synchronization

/// A mailbox that one event loop empties. Posting to a mailbox that is not empty costs a lock and no wake-up, so
/// a burst costs one (an `execute` a message would cost 3 µs each). What is posted before it is opened is kept.
///
/// Public, as `BoundedLane` is, although only this package uses it: what is only `package` is not specialised in other
/// modules, and every message passes here.
public final class Mailbox<Element: Sendable>: Sendable {
    /// Takes what was posted together, in order.
    public typealias Handler = @Sendable ([Element]) -> Void

    @usableFromInline struct State {
        @usableFromInline var queue: [Element] = []
        /// The loop has been told and has not yet taken the queue.
        @usableFromInline var isScheduled = false
        @usableFromInline var handler: Handler?

        @inlinable init() {}

        @inlinable
        mutating func post(_ element: Element) -> Bool {
            queue.append(element)
            return schedule()
        }

        @inlinable
        mutating func post(contentsOf elements: [Element], isQuiet: Bool) -> Bool {
            queue.append(contentsOf: elements)
            return !isQuiet && schedule()
        }

        @inlinable
        mutating func open(_ handler: @escaping Handler) -> Bool {
            self.handler = handler
            return schedule()
        }

        @inlinable
        mutating func schedule() -> Bool {
            guard !isScheduled, handler != nil, !queue.isEmpty else { return false }
            isScheduled = true
            return true
        }

        @inlinable
        mutating func take() -> (elements: [Element], Handler?) {
            isScheduled = false
            guard handler != nil else { return ([], nil) }
            let elements = queue
            queue = []
            return (elements, handler)
        }
    }

    @usableFromInline let state = Mutex(State())
    /// Where it is emptied.
    public let loop: any EventLoop

    /// Nothing is handled before `open`.
    @inlinable
    public init(on loop: any EventLoop) { self.loop = loop }

    /// - Parameter handler: see `open`.
    @inlinable
    public convenience init(on loop: any EventLoop, handler: @escaping Handler) {
        self.init(on: loop)
        open(handler)
    }

    /// - Parameter handler: called on `loop` with everything that was posted since the last call, in order.
    @inlinable
    public func open(_ handler: @escaping Handler) { if state.withLock({ $0.open(handler) }) { wake() } }

    /// From any thread.
    @inlinable
    public func post(_ element: Element) { if state.withLock({ $0.post(element) }) { wake() } }

    /// From any thread; together, so nothing comes between them.
    /// - Parameter isQuiet: nobody is woken for them. They are taken before whatever is posted next, and at the latest
    ///   by a `drain` of the owner's.
    @inlinable
    public func post(contentsOf elements: [Element], isQuiet: Bool = false) {
        if !elements.isEmpty, state.withLock({ $0.post(contentsOf: elements, isQuiet: isQuiet) }) { wake() }
    }

    @inlinable
    func wake() { loop.execute { self.drain() } }

    /// Handles what waits, on its loop.
    @inlinable
    public func drain() {
        let (elements, handler) = state.withLock { $0.take() }
        if !elements.isEmpty { handler?(elements) }
    }
}

/// What may wait in a mailbox. Its functions are called under a lock.
public protocol MailboxBound<Element>: Sendable {
    associatedtype Element: Sendable
    /// False if there is no room for it; then nothing has changed.
    mutating func admit(_ element: Element) -> Bool
    /// It was admitted, and does not wait any more.
    mutating func taken(_ element: Element)
}

/// A mailbox that refuses what there is no room for.
public final class BoundedMailbox<Bound: MailboxBound>: Sendable {
    @usableFromInline final class Room: Sendable {
        @usableFromInline let state: Mutex<Bound>
        @inlinable init(_ bound: Bound) { state = Mutex(bound) }
    }

    @usableFromInline let mailbox: Mailbox<Bound.Element>
    @usableFromInline let room: Room

    /// Nothing is handled before `open`.
    @inlinable
    public init(on loop: any EventLoop, bound: Bound) {
        (mailbox, room) = (Mailbox(on: loop), Room(bound))
    }

    /// - Parameter isQuiet: as for `Mailbox.post`.
    /// - Returns: how many there was no room for.
    @inlinable
    @discardableResult
    public func post(_ elements: [Bound.Element], isQuiet: Bool = false) -> Int {
        var admitted: [Bound.Element] = []
        admitted.reserveCapacity(elements.count)
        room.state.withLock { bound in for element in elements where bound.admit(element) { admitted.append(element) } }
        mailbox.post(contentsOf: admitted, isQuiet: isQuiet)
        return elements.count - admitted.count
    }

    /// Handles what waits, on its loop.
    @inlinable
    public func drain() { mailbox.drain() }

    /// - Parameter handler: called on the loop with everything that was posted since the last call, in order.
    @inlinable
    public func open(_ handler: @escaping @Sendable ([Bound.Element]) -> Void) {
        let room = room
        mailbox.open { elements in
            room.state.withLock { bound in for element in elements { bound.taken(element) } }
            handler(elements)
        }
    }
}
