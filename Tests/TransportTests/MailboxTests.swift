import NIOCore
import NIOEmbedded
import Synchronization
import Testing
import Transport

private final class Received: Sendable {
    private let bursts = Mutex<[[Int]]>([])
    var all: [[Int]] { bursts.withLock { $0 } }
    func add(_ burst: [Int]) { bursts.withLock { $0.append(burst) } }
}

/// Odd numbers have room for as many as `odd` at once.
private struct OddBound: MailboxBound {
    var odd: Int
    mutating func admit(_ element: Int) -> Bool {
        guard element % 2 == 1 else { return true }
        guard odd > 0 else { return false }
        odd -= 1
        return true
    }
    mutating func taken(_ element: Int) { odd += element % 2 }
}

@Suite struct MailboxTests {
    @Test func aBurstWakesTheLoopOnce() {
        let (loop, received) = (EmbeddedEventLoop(), Received())
        let mailbox = Mailbox<Int>(on: loop) { received.add($0) }
        mailbox.post(1)
        mailbox.post(contentsOf: [2, 3])
        mailbox.post(contentsOf: [])
        #expect(received.all.isEmpty)
        loop.run()
        #expect(received.all == [[1, 2, 3]])
        mailbox.post(4)
        loop.run()
        loop.run()
        #expect(received.all == [[1, 2, 3], [4]])
    }

    @Test func whatIsPostedWhileItIsHandledComesInTheNextBurst() {
        let (loop, received) = (EmbeddedEventLoop(), Received())
        let mailbox = Mailbox<Int>(on: loop)
        mailbox.open { [weak mailbox] burst in
            received.add(burst)
            if burst == [1] { mailbox?.post(2) }
        }
        mailbox.post(1)
        loop.run()
        #expect(received.all == [[1], [2]])
    }

    @Test func whatComesBeforeItIsOpenedIsKept() {
        let (loop, received) = (EmbeddedEventLoop(), Received())
        let mailbox = Mailbox<Int>(on: loop)
        mailbox.post(1)
        loop.run()
        mailbox.open { received.add($0) }
        mailbox.post(2)
        loop.run()
        #expect(received.all == [[1, 2]])
    }

    @Test func whatIsPostedQuietlyWaitsForTheNextPostOrForWhoeverLooks() {
        let (loop, received) = (EmbeddedEventLoop(), Received())
        let mailbox = Mailbox<Int>(on: loop)
        mailbox.post(contentsOf: [0], isQuiet: true)
        mailbox.drain()
        mailbox.open { received.add($0) }
        loop.run()
        #expect(received.all == [[0]], "what came before it was opened is not lost, and not quiet")
        mailbox.post(contentsOf: [1], isQuiet: true)
        loop.run()
        #expect(received.all == [[0]])
        mailbox.post(2)
        loop.run()
        #expect(received.all == [[0], [1, 2]])
        mailbox.post(contentsOf: [3], isQuiet: true)
        mailbox.drain()
        mailbox.drain()
        #expect(received.all == [[0], [1, 2], [3]])
    }

    @Test func aBoundedOneRefusesWhatHasNoRoomUntilSomeIsTaken() {
        let (loop, received) = (EmbeddedEventLoop(), Received())
        let mailbox = BoundedMailbox(on: loop, bound: OddBound(odd: 2))
        #expect(mailbox.post([1, 2, 3, 5, 4]) == 1)
        #expect(mailbox.post([7]) == 1)
        mailbox.open { received.add($0) }
        loop.run()
        #expect(mailbox.post([7]) == 0)
        loop.run()
        #expect(received.all == [[1, 2, 3, 4], [7]])
    }
}

@Suite struct BoundedLaneTests {
    @Test func sourcesTakeTurnsAndEachHasItsPartOfTheRoom() {
        var lane = BoundedLane<Int, String>(bytes: 100, sources: 5, perSource: 100)
        var taken = 0
        while lane.append("a\(taken)", weight: 10, from: 1) { taken += 1 }
        #expect(taken == 4, "a tenth is its own, and of the half that is for all it leaves as much as it has")
        #expect(lane.append("b", weight: 10, from: 2) == true)
        #expect(lane.append("weightless", weight: 0, from: 1) == true)
        #expect(lane.take(3) == ["a0", "b", "a1"])
        #expect(lane.append("more", weight: 10, from: 1) == true)
        #expect(lane.take(100) == ["a2", "a3", "weightless", "more"] && lane.isEmpty)
    }

    @Test func oneSourceHasNoMoreThanItsLimit() {
        var lane = BoundedLane<Int, Int>(bytes: 1000, sources: 2, perSource: 30)
        #expect(lane.append(1, weight: 20, from: 1) == true)
        #expect(lane.append(2, weight: 20, from: 1) == false)
    }
}
