/// What is to be known of a run before its figures are believed. Every picture that shows the run shows it too.
struct RunFlag: Equatable {
    /// Of a run in simulated time, which says nothing of the machine that simulated it.
    static let simulated = "simulated"

    /// One word: `invalid`.
    let word: String
    /// Why, in a few words.
    let why: String
    /// Beside its points.
    let sign: String
    /// The figures must not be used.
    let isBad: Bool

    var style: String { isBad ? "bad" : "caution" }
    var text: String { why.isEmpty ? word : "\(word): \(why)" }
}

extension RunResult {
    /// The gravest first. What else can be wrong with a run is one more line here.
    var flags: [RunFlag] { [validity == nil ? failedInvariants : notValid, simulated].compactMap { $0 } }

    /// The same for the title of a picture.
    var flagWords: String { flags.isEmpty ? "" : " (" + flags.map(\.word).joined(separator: ", ") + ")" }

    private var simulated: RunFlag? {
        setup.simulated == true ? RunFlag(word: RunFlag.simulated, why: "", sign: "◇", isBad: false) : nil
    }

    private var notValid: RunFlag? {
        guard let validity, !validity.valid else { return nil }
        return RunFlag(word: "invalid", why: validity.reasons.joined(separator: "; "), sign: "✕", isBad: true)
    }

    private var failedInvariants: RunFlag? {
        let failed = invariants.failed
        guard !failed.isEmpty else { return nil }
        return RunFlag(word: "invalid", why: failed.joined(separator: ", ") + " failed", sign: "✕", isBad: true)
    }
}

extension RunResult.Invariants {
    /// Those that do not hold, in words.
    var failed: [String] {
        [
            (conservation, "conservation"), (replicas_agree, "replicas agree"), (no_locks, "no locks"),
            (at_rest, "at rest"), (strictly_serializable != false, "strict serializability"),
            (workload_consistent != false, "workload's check"),
        ].filter { !$0.0 }.map(\.1)
    }
}
