/// What things cost on one machine, in nanoseconds: measured there by `quorate bench calibrate`, kept as JSON. The keys
/// are a promise: some may be added, none renamed.
public struct CostModel: Codable, Sendable, Equatable {
    /// A cost that grows with a number: of items, leaves or bytes.
    public struct Line: Codable, Sendable, Equatable {
        /// Whatever the number.
        public var fixed_ns: Double
        /// For each.
        public var each_ns: Double

        /// - Parameter each: for each item, leaf or byte.
        public init(_ fixed: Double, each: Double = 0) { (fixed_ns, each_ns) = (fixed, each) }

        func of(_ count: Int) -> Double { fixed_ns + each_ns * Double(count) }
    }

    /// What threads, connections and disks take.
    public struct Machine: Codable, Sendable, Equatable {
        /// To sleep and to be woken: the kernel's part on both sides, and what finds its caches cold.
        public var wake_ns: Double
        /// To write to one connection, whatever it is: a system call, a TLS record, the way through the kernel.
        public var write_ns: Double
        /// To read from one.
        public var read_ns: Double
        /// Of each message that is sent or received beside its coding: buffers, queues, allocation.
        public var frame_ns: Double
        /// Of each byte on each side: TLS and copies.
        public var byte_ns: Double
        /// From one process to another on the same machine.
        public var loopback_ns: Double
        /// A record appended to a journal, by its bytes.
        public var record: Line
        /// What a sync costs the processor.
        public var sync_cpu_ns: Double
        /// How long it then waits for the device, while the processor is free.
        public var sync_wait_ns: Double
        /// A state written to LMDB, by its keys; its sync is one of the above.
        public var flush: Line
        /// A byte of an archive.
        public var archive_byte_ns: Double

        /// Every parameter by its name.
        public init(
            wake: Double, write: Double, read: Double, frame: Double, byte: Double, loopback: Double, record: Line,
            syncCPU: Double, syncWait: Double, flush: Line, archiveByte: Double
        ) {
            (wake_ns, write_ns, read_ns, frame_ns, byte_ns) = (wake, write, read, frame, byte)
            (loopback_ns, self.record, sync_cpu_ns, sync_wait_ns) = (loopback, record, syncCPU, syncWait)
            (self.flush, archive_byte_ns) = (flush, archiveByte)
        }
    }

    /// Of the keys.
    public static let currentVersion = 1

    /// Of the keys; another one is refused.
    public var version: Int
    /// As reports call it.
    public var name: String
    /// On what it was measured, and when.
    public var source: String
    /// One Ed25519 signature.
    public var verify_ns: Double
    /// One Ed25519 signature.
    public var sign_ns: Double
    /// Threads, connections and disks.
    public var machine: Machine
    /// By the name of a `StepKind`: what the cores' own code takes, without signatures and coding.
    public var steps: [String: Line]
    /// By the name of a `FrameKind`, by bytes.
    public var encode: [String: Line]
    /// By the name of a `FrameKind`, by bytes.
    public var decode: [String: Line]

    /// Of the current version.
    public init(
        name: String, source: String, verify: Double, sign: Double, machine: Machine, steps: [String: Line],
        encode: [String: Line], decode: [String: Line]
    ) {
        (version, self.name, self.source) = (Self.currentVersion, name, source)
        (verify_ns, sign_ns, self.machine) = (verify, sign, machine)
        (self.steps, self.encode, self.decode) = (steps, encode, decode)
    }

    /// What makes it useless, in words; nil if nothing does.
    public var problem: String? {
        guard version == Self.currentVersion else {
            return "version \(version); this build reads version \(Self.currentVersion)"
        }
        let missing =
            StepKind.allCases.map(\.name).filter { steps[$0] == nil }.map { "steps.\($0)" }
            + FrameKind.allCases.map(\.name).filter { encode[$0] == nil }.map { "encode.\($0)" }
            + FrameKind.allCases.map(\.name).filter { decode[$0] == nil }.map { "decode.\($0)" }
        if let first = missing.first { return "\(first) is missing" }
        let m = machine
        let lines = Array(steps.values) + Array(encode.values) + Array(decode.values) + [m.record, m.flush]
        let numbers =
            [
                verify_ns, sign_ns, m.wake_ns, m.write_ns, m.read_ns, m.frame_ns, m.byte_ns, m.loopback_ns,
                m.sync_cpu_ns, m.sync_wait_ns, m.archive_byte_ns,
            ] + lines.flatMap { [$0.fixed_ns, $0.each_ns] }
        // A second for one of anything is a mistake, and so is less than nothing.
        guard numbers.allSatisfy({ $0.isFinite && $0 >= 0 && $0 <= 1e9 }) else {
            return "a cost is below 0 or above 1,000,000,000 ns"
        }
        return nil
    }
}

/// What the cores' code does in one step: the sum of what it consists of. Of each kind the costs are measured on the
/// code itself.
public enum StepKind: Int, CaseIterable, Sendable {
    // A host's protocol. Numbers are items of a batch where nothing else is said.
    case prePrepare, prepare, commit, otherPBFT, push, forward, submit, decides, question, checked, persisted, flushed
    case hostTick, propose, execute, checkpoint
    /// By what was executed since the one before.
    case takeCheckpoint
    // Its verifiers, and a gateway's, without the signatures: hashes, and what they remember.
    case checkPeer, checkSubmission, checkReply
    // A gateway. An attestation has leaves, a receipt certificates.
    case request, attestation, refusal, answerChecked, gatewayTick
    // A client.
    case begin, receipt

    /// As files of costs have it.
    public var name: String { "\(self)" }
}

/// Messages by how they are coded.
public enum FrameKind: Int, CaseIterable, Sendable {
    case vote, prePrepare, push, attestation, refusal, submit, decides, receipt, other

    /// As files of costs have it.
    public var name: String { "\(self)" }

    /// As reports of real processes have it, where these have one for it.
    var label: String {
        switch self {
        case .prePrepare: "pre_prepare"
        case .decides: "decide"
        case .vote, .push, .attestation, .refusal, .submit, .receipt, .other: name
        }
    }
}

/// The same as tables, for the millions of times that they are looked at.
struct Costs {
    let model: CostModel
    let machine: CostModel.Machine
    private let steps: [CostModel.Line]
    private let encoding: [CostModel.Line]
    private let decoding: [CostModel.Line]

    /// - Precondition: the model has no problem.
    init(_ model: CostModel) {
        (self.model, machine) = (model, model.machine)
        steps = StepKind.allCases.map { model.steps[$0.name] ?? .init(0) }
        encoding = FrameKind.allCases.map { model.encode[$0.name] ?? .init(0) }
        decoding = FrameKind.allCases.map { model.decode[$0.name] ?? .init(0) }
    }

    func step(_ kind: StepKind, times: Int = 1, _ units: Int) -> Double {
        let line = steps[kind.rawValue]
        return line.fixed_ns * Double(times) + line.each_ns * Double(units)
    }
    func encode(_ kind: FrameKind, bytes: Int) -> Double { encoding[kind.rawValue].of(bytes) }
    func decode(_ kind: FrameKind, bytes: Int) -> Double { decoding[kind.rawValue].of(bytes) }
    /// Of each message on each side, beside its coding and the system call that it shares with others.
    func frame(bytes: Int) -> Double { machine.frame_ns + machine.byte_ns * Double(bytes) }
}
