import Messages
import Workload

/// What all processes had used and counted at one moment.
struct Look {
    let at: UInt64
    let sample: CostSample
    /// By thread.
    let busy: [UInt64]
    /// By host: syncs, and states that were written down.
    let waits: [(syncs: Int, flushes: Int)]

    init(_ world: ForecastWorld, committed: Int) {
        at = world.now
        let processors = world.processors
        busy = (0..<world.threadCount).map { processors.busy($0) }
        waits = world.hosts.map { ($0.tally.syncs, $0.tally.flushes) }
        func usage(_ threads: [Int]) -> CostSample.Usage {
            CostSample.Usage(
                cpuMicroseconds: threads.reduce(0) { $0 + processors.busy($1) } / 1000,
                voluntarySwitches: UInt64(threads.reduce(0) { $0 + processors.wakes($1) }), involuntarySwitches: 0)
        }
        var processes = world.hosts.map {
            CostSample.Process(
                role: .host, number: $0.number, identity: [UInt64($0.number)], usage: usage($0.allThreads),
                metrics: Self.metrics($0.tally, ofHost: true))
        }
        processes += world.gateways.map {
            CostSample.Process(
                role: .gateway, number: $0.number, identity: [UInt64($0.number)], usage: usage($0.allThreads),
                metrics: Self.metrics($0.tally, ofHost: false))
        }
        let load = Set(world.channels.map(\.thread)).sorted()
        processes.append(
            CostSample.Process(role: .load, number: 0, identity: [0], usage: usage(load), metrics: nil))
        sample = CostSample(at: at, committed: committed, processes: processes)
    }

    /// Under the names that real processes have them.
    private static func metrics(_ tally: Tally, ofHost: Bool) -> [MetricSample] {
        var samples: [MetricSample] = []
        for kind in FrameKind.allCases {
            let label = [MetricLabel(name: "kind", value: kind.label)]
            samples.append(
                MetricSample(
                    name: "quorate_sent_messages_total", labels: label, value: UInt64(tally.messages[kind.rawValue])))
            samples.append(
                MetricSample(
                    name: "quorate_sent_message_bytes_total", labels: label, value: UInt64(tally.bytes[kind.rawValue])))
        }
        guard ofHost else { return samples }
        for (name, value) in [
            ("quorate_journal_syncs_total", tally.syncs), ("quorate_flushes_total", tally.flushes),
            ("quorate_journal_records_total", tally.records), ("quorate_journal_bytes_total", tally.journalBytes),
            ("quorate_batches_total", tally.batches), ("quorate_batch_items_total", tally.items),
        ] { samples.append(MetricSample(name: name, value: UInt64(value))) }
        return samples
    }
}

/// Who was busy between two looks.
struct Usage {
    private(set) var busiest: [RunResult.Simulation.Thread] = []
    private(set) var busiestMachine = 0.0
    private(set) var limit = ""

    init(_ world: ForecastWorld, from first: Look, to last: Look, cores: Int) {
        let time = Double(max(1, last.at - first.at))
        var byKind: [String: RunResult.Simulation.Thread] = [:]
        var machines: [Int: Double] = [:]
        for thread in 0..<world.threadCount {
            let busy = Double(last.busy[thread] - first.busy[thread]) / time
            machines[world.processors.machine(of: thread), default: 0] += busy / Double(cores)
            let (process, name) = world.describe(thread)
            var share = busy
            if let (host, isJournal) = world.disk(thread) {
                let (before, after) = (first.waits[host], last.waits[host])
                let waits = isJournal ? after.syncs - before.syncs : after.flushes - before.flushes
                share += Double(waits) * world.costs.machine.sync_wait_ns / time
            }
            let kind = "\(process.split(separator: " ").first ?? ""), \(name)"
            if share > byKind[kind]?.share ?? -1 {
                byKind[kind] = .init(process: process, thread: name, share: min(1, share))
            }
        }
        // Equal shares in the order of their names, so that the same run says the same.
        busiest = byKind.keys.sorted().compactMap { byKind[$0] }.sorted { $0.share > $1.share }
        busiestMachine = machines.values.max() ?? 0
        let top = busiest.first
        let percent = { (share: Double) in "\(Int((share * 100).rounded())) %" }
        if busiestMachine > 0.9, busiestMachine > top?.share ?? 0 {
            limit = "all cores of a machine, \(percent(busiestMachine)) busy"
        } else if let top, top.share > 0.8 {
            limit = "the \(top.thread) thread of \(top.process), \(percent(top.share)) busy"
        } else if let top {
            limit =
                "no thread: delays; the busiest is the \(top.thread) thread of \(top.process), \(percent(top.share)) busy"
        }
    }
}

extension ForecastWorld {
    func describe(_ thread: Int) -> (process: String, thread: String) {
        switch owner(of: thread) {
        case .host(let host, let role):
            let shards = manifest.shards(of: HostID(UInt16(host)))
            let name = shards.count == 1 ? "host \(host) (shard \(shards[0]))" : "host \(host)"
            let roles: String =
                switch role {
                case .sockets: "sockets"
                case .protocolLoop: "protocol"
                case .journal: "journal"
                case .stores: "stores"
                case .verifier: "verifier"
                }
            return (name, roles)
        case .gateway(let gateway, .io): return ("gateway \(gateway)", "core and sockets")
        case .gateway(let gateway, .verifier): return ("gateway \(gateway)", "verifier")
        case .load(let channel): return ("clients of gateway \(channel)", "load")
        }
    }

    /// The host whose disk the thread waits for, and whether it writes the journal.
    func disk(_ thread: Int) -> (host: Int, isJournal: Bool)? {
        switch owner(of: thread) {
        case .host(let host, .journal): (host, true)
        case .host(let host, .stores): (host, false)
        case .host, .gateway, .load: nil
        }
    }
}
