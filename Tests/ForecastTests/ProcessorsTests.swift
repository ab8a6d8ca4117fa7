import Forecast
import Foundation
import Randomness
import Testing

/// Queues whose answers are known.
struct ProcessorsTests {
    /// Jobs that all take one microsecond come to one core at random moments: M/D/1. By Pollaczek and Khinchine they
    /// wait ρ / 2(1 - ρ) of their time on average.
    @Test(arguments: [0.3, 0.7, 0.9]) func `one core serves as the formula says`(load: Double) throws {
        let service = 1000.0
        var random = SplitMix64(seed: 7)
        var processors = Processors<Double>()
        let thread = processors.addThread(on: processors.addMachine(cores: 1), limit: 1)
        var (clock, next, free): (Double, Double, Double?) = (0, 0, nil)
        var (waited, served, posted) = (0.0, 0, 0)
        let jobs = 200_000
        while served < jobs {
            if let end = free, end <= next || posted == jobs {
                clock = end
                free = nil
                processors.finish(thread, busy: UInt64(service))
            } else {
                clock = next
                processors.post(clock, to: thread)
                posted += 1
                next = clock - log(1 - random.unit()) * service / load
            }
            while let burst = processors.next() {
                for arrival in burst.jobs { waited += clock - arrival }
                served += 1
                free = clock + service
            }
        }
        let mean = waited / Double(served) / service
        let expected = load / (2 * (1 - load))
        #expect(abs(mean - expected) < 0.05 * expected, "waited \(mean) of a service time, expected \(expected)")
        #expect(processors.busy(thread) > UInt64(service) * UInt64(jobs - 2))
    }

    @Test func `as many threads run as there are cores`() {
        var processors = Processors<Int>()
        let machine = processors.addMachine(cores: 2)
        let threads = (0..<3).map { _ in processors.addThread(on: machine, limit: 1) }
        for thread in threads { processors.post(thread, to: thread) }
        let burst1 = processors.next()
        #expect(burst1?.thread == threads[0])
        let burst2 = processors.next()
        #expect(burst2?.thread == threads[1])
        let burst3 = processors.next()
        #expect(burst3 == nil)
        processors.finish(threads[1], busy: 1)
        let burst4 = processors.next()
        #expect(burst4?.thread == threads[2])
        let burst5 = processors.next()
        #expect(burst5 == nil)
    }

    @Test func `a thread is woken once and takes all that waits`() throws {
        var processors = Processors<Int>()
        let thread = processors.addThread(on: processors.addMachine(cores: 1), limit: 8)
        processors.post(1, to: thread, wakes: false)
        let burst1 = processors.next()
        #expect(burst1 == nil)
        processors.post(2, to: thread)
        let burst2 = processors.next()
        let burst = try #require(burst2)
        #expect(burst.jobs == [1, 2])
        #expect(burst.wasIdle)
        processors.post(3, to: thread)
        let burst3 = processors.next()
        #expect(burst3 == nil)
        processors.finish(thread, busy: 1)
        let burst4 = processors.next()
        let second = try #require(burst4)
        #expect(second.jobs == [3])
        #expect(!second.wasIdle)
        #expect(processors.wakes(thread) == 1)
    }

    @Test func `what is urgent goes first but not for ever`() throws {
        var processors = Processors<Int>()
        let thread = processors.addThread(on: processors.addMachine(cores: 1), limit: 2, urgentLimit: 1)
        for job in 1...3 { processors.post(job, to: thread) }
        for job in 11...12 { processors.post(job, to: thread, isUrgent: true) }
        var order: [[Int]] = []
        while let burst = processors.next() {
            order.append(burst.jobs)
            processors.finish(thread, busy: 1)
        }
        #expect(order == [[11], [1, 2], [12], [3]])
    }

    @Test func `who waits for the disk leaves its core to others`() throws {
        var processors = Processors<Int>()
        let machine = processors.addMachine(cores: 1)
        let (disk, other) = (processors.addThread(on: machine, limit: 1), processors.addThread(on: machine, limit: 1))
        processors.post(1, to: disk)
        processors.post(2, to: disk)
        processors.post(3, to: other)
        let burst1 = processors.next()
        #expect(burst1?.jobs == [1])
        processors.finish(disk, busy: 1, blocks: true)
        let burst2 = processors.next()
        #expect(burst2?.jobs == [3])
        processors.finish(other, busy: 1)
        let burst3 = processors.next()
        #expect(burst3 == nil)
        processors.unblock(disk)
        let burst4 = processors.next()
        #expect(burst4?.jobs == [2])
    }
}
