import DequeModule

/// Machines with their cores, and threads that share them. A thread does what was posted to it in order, several at a
/// time where its code takes several at a time; a core is free for the next thread when that is done. Threads that are
/// ready wait for a core in the order in which they became so.
///
/// No preemption, and no priorities: what a kernel's scheduler does beyond that is not modelled.
package struct Processors<Job> {
    /// What a thread does at once.
    package struct Burst {
        package let thread: Int
        package let jobs: [Job]
        /// It slept before: somebody had to wake it.
        package let wasIdle: Bool
    }

    private enum State { case idle, ready, running, blocked }

    private struct Thread {
        let machine: Int
        let limit: Int
        let urgentLimit: Int
        var urgent = Deque<Job>()
        var ordinary = Deque<Job>()
        var state = State.idle
        var wasIdle = false
        var wasUrgent = false
        var busy: UInt64 = 0
        var wakes = 0
    }

    private struct Machine {
        let cores: Int
        var running = 0
        var ready = Deque<Int>()
    }

    private var machines: [Machine] = []
    private var threads: [Thread] = []
    /// Machines on which a thread may find a core; some of them more than once, or in vain.
    private var runnable = Deque<Int>()

    package init() {}

    /// - Returns: its number.
    package mutating func addMachine(cores: Int) -> Int {
        precondition(cores >= 1)
        machines.append(Machine(cores: cores))
        return machines.count - 1
    }

    /// - Parameters:
    ///   - limit: how much it does at once.
    ///   - urgentLimit: how much of what is urgent, in turn with the rest.
    /// - Returns: its number.
    package mutating func addThread(on machine: Int, limit: Int, urgentLimit: Int = 1) -> Int {
        precondition(limit >= 1 && urgentLimit >= 1)
        threads.append(Thread(machine: machine, limit: limit, urgentLimit: urgentLimit))
        return threads.count - 1
    }

    package func machine(of thread: Int) -> Int { threads[thread].machine }

    /// Nanoseconds for which it has had a core.
    package func busy(_ thread: Int) -> UInt64 { threads[thread].busy }
    /// How often it was woken.
    package func wakes(_ thread: Int) -> Int { threads[thread].wakes }
    /// What waits for it.
    package func waiting(for thread: Int) -> Int { threads[thread].urgent.count + threads[thread].ordinary.count }

    /// - Parameter wakes: otherwise it waits until something else wakes the thread.
    package mutating func post(_ job: Job, to thread: Int, isUrgent: Bool = false, wakes: Bool = true) {
        if isUrgent { threads[thread].urgent.append(job) } else { threads[thread].ordinary.append(job) }
        guard wakes, threads[thread].state == .idle else { return }
        threads[thread].wasIdle = true
        threads[thread].wakes += 1
        makeReady(thread)
    }

    private mutating func makeReady(_ thread: Int) {
        threads[thread].state = .ready
        let machine = threads[thread].machine
        machines[machine].ready.append(thread)
        runnable.append(machine)
    }

    /// Gives a core to the next thread that can have one. It keeps it until `finish`.
    package mutating func next() -> Burst? {
        while let machine = runnable.popFirst() {
            guard machines[machine].running < machines[machine].cores,
                let thread = machines[machine].ready.popFirst()
            else { continue }
            machines[machine].running += 1
            threads[thread].state = .running
            defer { threads[thread].wasIdle = false }
            return Burst(thread: thread, jobs: take(thread), wasIdle: threads[thread].wasIdle)
        }
        return nil
    }

    private mutating func take(_ thread: Int) -> [Job] {
        var jobs: [Job] = []
        let hasUrgent = !threads[thread].urgent.isEmpty
        let isUrgent = hasUrgent && (!threads[thread].wasUrgent || threads[thread].ordinary.isEmpty)
        threads[thread].wasUrgent = isUrgent
        if isUrgent {
            while jobs.count < threads[thread].urgentLimit, let job = threads[thread].urgent.popFirst() {
                jobs.append(job)
            }
        } else {
            while jobs.count < threads[thread].limit, let job = threads[thread].ordinary.popFirst() { jobs.append(job) }
        }
        return jobs
    }

    /// The thread is done with its burst and gives its core back.
    /// - Parameter blocks: it does nothing until `unblock`.
    package mutating func finish(_ thread: Int, busy: UInt64, blocks: Bool = false) {
        threads[thread].busy += busy
        let machine = threads[thread].machine
        machines[machine].running -= 1
        if !machines[machine].ready.isEmpty { runnable.append(machine) }
        if blocks { threads[thread].state = .blocked } else { goOn(thread) }
    }

    package mutating func unblock(_ thread: Int) { goOn(thread) }

    private mutating func goOn(_ thread: Int) {
        threads[thread].state = .idle
        if waiting(for: thread) > 0 { makeReady(thread) }
    }
}
