import ArgumentParser
import Foundation
import HostRuntime
import Workload

struct DoctorCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what is wrong with a cluster, since when, whom it affects and what to do.",
        discussion: """
            Everything that the manifest names is asked twice, a second apart, so that what happens now is told from what \
            was counted long ago. Of hosts on this machine, processes, keys, logs and disks are looked at too. Nothing is \
            changed.

              quorate doctor demo
              quorate doctor demo --watch             # whenever something changes, until Ctrl-C
              quorate doctor demo --audit             # compares the whole states of all replicas
              quorate doctor demo --json | jq '.findings[] | {severity, code, what}'

            The exit code is 0 if nothing needs attention; \(ExitReason.cannotCommit.rawValue) if a shard cannot commit; \
            \(ExitReason.noAnswer.rawValue) if a host or gateway does not answer, or is not who it should be; \
            \(ExitReason.attention.rawValue) if something else needs attention. A notice alone is no reason.
            """)
    @Argument(help: ArgumentHelp(ClusterDirectory.help)) var directory: String?
    @OptionGroup var cluster: ClusterOption
    @Flag(help: "Look again and again, until it is interrupted.") var watch = false
    @Flag(help: "Have every host read its whole state, and compare them.") var audit = false
    @Option(help: Whole(1...600).help("Seconds to wait for an answer."), transform: Whole(1...600).parse)
    var timeout = 3
    @Flag(help: "Print one JSON object; with --watch one on each line.") var json = false

    func validate() throws {
        guard directory == nil || cluster.given == nil else {
            throw ValidationError("give the folder, or --cluster, and not both.")
        }
    }

    func execute() async throws {
        let path = try ClusterDirectory.find(directory ?? cluster.given)
        let examination = ClusterExamination(
            processes: ClusterProcesses(try ClusterCommand.open(path)), timeout: .seconds(timeout),
            pause: .seconds(1), audits: audit)
        if watch { return try await watch(examination) }
        let snapshot = await examination.collect()
        try Task.checkCancellation()
        let diagnosis = Diagnosis(snapshot)
        if json {
            try Console.json(DoctorDocument(diagnosis, of: snapshot))
        } else {
            DoctorPage(diagnosis, of: snapshot).show()
        }
        if let reason = Self.exitReason(diagnosis) { throw ExitCode(reason.rawValue) }
    }

    static func exitReason(_ diagnosis: Diagnosis) -> ExitReason? {
        if diagnosis.cannotCommit { return .cannotCommit }
        if diagnosis.misses { return .noAnswer }
        return diagnosis.needsAttention ? .attention : nil
    }

    /// Whenever what is found changes.
    private func watch(_ examination: ClusterExamination) async throws {
        var shown: [String]?
        while true {
            let snapshot = await examination.collect()
            try Task.checkCancellation()
            let diagnosis = Diagnosis(snapshot)
            // Numbers in sentences change all the time; what is found, and of whom, does not.
            let found = diagnosis.findings.map {
                "\($0.severity) \($0.code) \($0.shard ?? -1) \($0.host ?? -1) \($0.gateway ?? -1)"
            }
            if json {
                try Console.json(DoctorDocument(diagnosis, of: snapshot))
            } else if found != shown {
                Console.out("\(DoctorPage.text(snapshot.taken))")
                DoctorPage(diagnosis, of: snapshot).show()
                Console.out("")
            }
            shown = found
            try await Task.sleep(for: .seconds(1))
        }
    }
}

/// With `--json`.
struct DoctorDocument: Encodable, Sendable {
    struct Entry: Encodable, Sendable {
        var severity: String
        var code: String
        var shard: Int?
        var host: Int?
        var gateway: Int?
        var what: String
        /// Since when, in ISO 8601; nil if it is not known.
        var since: String?
        /// Whether it is only known that it is later than `since`.
        var since_is_bound: Bool?
        var affects: String
        var advice: String
        var commands: [String]
    }
    var schema = 1
    var cluster: String
    var taken: String
    var healthy: Bool
    /// What the command ends with.
    var exit: Int32
    var findings: [Entry]
    var checked: [String]

    init(_ diagnosis: Diagnosis, of snapshot: ClusterSnapshot) {
        cluster = snapshot.manifest.cluster.hex
        taken = DoctorPage.text(snapshot.taken)
        exit = DoctorCommand.exitReason(diagnosis)?.rawValue ?? 0
        healthy = exit == 0
        checked = diagnosis.checked
        findings = diagnosis.findings.map { finding in
            var entry = Entry(
                severity: finding.severity.rawValue, code: finding.code.rawValue, shard: finding.shard,
                host: finding.host, gateway: finding.gateway, what: finding.what, affects: finding.affects,
                advice: finding.advice, commands: finding.commands)
            switch finding.since {
            case .at(let date): (entry.since, entry.since_is_bound) = (DoctorPage.text(date), false)
            case .after(let date): (entry.since, entry.since_is_bound) = (DoctorPage.text(date), true)
            case nil: break
            }
            return entry
        }
    }
}
