import Testing
import Workload

struct OpenTransactionsTests {
    private func open(_ effects: [[String: Int128]]) -> OpenTransactions<String> {
        var open = OpenTransactions<String>()
        for effect in effects { open.add(effect) }
        return open
    }

    @Test func `some of them explain what is there, or none do`() {
        let open = open([["a": -5, "b": 5], ["b": -3, "c": 3], ["x": 1, "y": -1]])
        #expect(open.explain(["a": 0, "b": 0, "c": 0, "x": 0, "y": 0]) == .explained)
        #expect(open.explain(["a": -5, "b": 2, "c": 3, "x": 1, "y": -1]) == .explained)
        // Within the bounds of each, and half of one all the same.
        #expect(open.explain(["a": -5, "b": 5, "c": 3, "x": 0, "y": 0]) == .unexplained(["a", "b", "c"]))
        #expect(open.explain(["a": 0, "b": 0, "c": 0, "x": 1, "y": 0]) == .unexplained(["x", "y"]))
    }

    @Test func `a place that is not known explains nothing and forbids nothing`() {
        let open = open([["a": -5, "b": 5]])
        #expect(open.explain(["a": -5]) == .explained && open.explain([:]) == .explained)
        #expect(open.explain(["a": -4]) == .unexplained(["a"]))
    }

    @Test func `too many choices are told apart from none`() {
        let open = open((0..<40).map { ["a": 2 + 2 * $0] })
        #expect(open.explain(["a": 41], limit: 1000) == .undecided)
        #expect(open.explain(["a": -1], limit: 1000) == .unexplained(["a"]))
    }
}

struct ReadingQueueTests {
    @Test func `what could not be read is tried again after all others`() {
        var queue = ReadingQueue(["a", "b"])
        let first = queue.take()
        queue.settle("a", wasRead: false)
        let second = queue.take()
        queue.settle("b", wasRead: true)
        let third = queue.take()
        #expect([first, second, third] == ["a", "b", "a"] && queue.done == 1)
        queue.settle("a", wasRead: true)
        let none = queue.take()
        #expect(none == nil && queue.done == 2)
    }
}
