import Foundation

/// One thing that is wrong with a cluster, in a person's words.
package struct Finding: Hashable, Sendable {
    /// The worst is the least, so that it comes first.
    package enum Severity: String, CaseIterable, Comparable, Sendable {
        /// Somebody who uses the cluster is turned away, or its promises are in doubt.
        case critical
        /// Nobody notices yet, and somebody should act.
        case warning
        /// Worth to be known.
        case notice

        package static func < (a: Self, b: Self) -> Bool { a.place < b.place }
        private var place: Int {
            switch self {
            case .critical: 0
            case .warning: 1
            case .notice: 2
            }
        }
    }

    /// What kind of thing it is, for scripts: a word that stays.
    package enum Code: String, CaseIterable, Sendable {
        case noQuorum = "no_quorum"
        case statesDiffer = "states_differ"
        case replicaHalted = "replica_halted"
        case replicaQuarantined = "replica_quarantined"
        case replicaNotVoting = "replica_not_voting"
        case replicaBehind = "replica_behind"
        case viewChangeLong = "view_change_long"
        case undecidedLong = "undecided_long"
        case recordsOpen = "records_open"
        case shardTimeAhead = "shard_time_ahead"
        case hostDown = "host_down"
        case hostStopped = "host_stopped"
        case hostSilent = "host_silent"
        case hostUnreachable = "host_unreachable"
        case hostOtherKey = "host_other_key"
        case hostOtherCluster = "host_other_cluster"
        case hostOtherVersion = "host_other_version"
        case portTaken = "port_taken"
        case processLeftOver = "process_left_over"
        case clockWrong = "clock_wrong"
        case descriptorsFew = "descriptors_few"
        case folderOther = "folder_other"
        case folderDamaged = "folder_damaged"
        case keyUnusable = "key_unusable"
        case keyOpen = "key_open"
        case manifestsDiffer = "manifests_differ"
        case proceduresDiffer = "procedures_differ"
        case filesAside = "files_aside"
        case diskFull = "disk_full"
        case diskLow = "disk_low"
        case certificateEnds = "certificate_ends"
        case noGateway = "no_gateway"
        case gatewayDown = "gateway_down"
        case gatewayStopped = "gateway_stopped"
        case gatewaySilent = "gateway_silent"
        case gatewayRejects = "gateway_rejects"
        case breakersOpen = "breakers_open"
        case messagesBad = "messages_bad"
        case messagesDropped = "messages_dropped"
        case sessionsRefused = "sessions_refused"
    }

    /// Since when it is so, as far as it is known.
    package enum Since: Hashable, Sendable {
        case at(Date)
        /// It was not so then, or nothing is known of it.
        case after(Date)
    }

    package var severity: Severity
    package var code: Code
    /// What it is about; nil where it is not about one.
    package var shard: Int?
    package var host: Int?
    package var gateway: Int?
    /// A sentence.
    package var what: String
    package var since: Since?
    /// Whom it affects, and how.
    package var affects: String
    /// What to do.
    package var advice: String
    /// Lines for a shell that do it, or that show more.
    package var commands: [String]

    package init(
        _ severity: Severity, _ code: Code, shard: Int? = nil, host: Int? = nil, gateway: Int? = nil, _ what: String,
        since: Since? = nil, affects: String, advice: String, commands: [String] = []
    ) {
        (self.severity, self.code, self.shard, self.host, self.gateway) = (severity, code, shard, host, gateway)
        (self.what, self.since, self.affects, self.advice, self.commands) = (what, since, affects, advice, commands)
    }
}
