import Messages

/// The questions of a replica that starts, and what it makes of the answers.
package struct Resuming: Sendable {
    /// What the replica knows of itself when it asks.
    package struct Oneself {
        let standing: Standing
        let incarnation: UInt64
        let declaration: IncarnationDeclaration?
        /// The highest sequence number that it voted for and remembers.
        let remembers: SequenceNumber

        package init(
            standing: Standing, incarnation: UInt64, declaration: IncarnationDeclaration?, remembers: SequenceNumber
        ) {
            (self.standing, self.incarnation, self.declaration, self.remembers) = (
                standing, incarnation, declaration, remembers
            )
        }
    }

    package enum Verdict: Hashable {
        case notAsked
        case waits
        /// It forgot votes, and did not know: it stops, and says why.
        case forgot(String)
        /// The peer counts votes of this very incarnation against it: it is told again.
        case retell(Resumption)
        /// It declared a later incarnation before: it begins a still later one.
        case outlive(UInt64)
        case quarantined(until: SequenceNumber)
        /// Enough peers heard no more than it remembers.
        case forgotNothing
    }

    private let configuration: ReplicaConfiguration
    /// Tells this start from every other; zero before the start.
    package private(set) var nonce: UInt64 = 0
    private var sentAt: UInt64 = 0
    private var rounds = 0
    private var answers: [Recollection?]
    /// When each peer that refuses was told again.
    private var retoldAt: [UInt64]

    /// So often all are asked, before they have said anything.
    private static let blindRounds = 16
    private static let advice = "Declare it lost, and it rejoins by itself: quorate cluster restore-host"

    package init(configuration: ReplicaConfiguration) {
        self.configuration = configuration
        answers = Array(repeating: nil, count: configuration.group.n)
        retoldAt = Array(repeating: 0, count: configuration.group.n)
    }

    private var group: ReplicaGroup { configuration.group }
    private var interval: UInt64 { configuration.limits.statusInterval }
    private var others: some Sequence<ReplicaIndex> { group.replicas.filter { $0 != configuration.me } }

    package mutating func start(now: Instant) {
        self = Resuming(configuration: configuration)
        nonce = max(1, now.wall.number)
    }

    mutating func forgetAnswers() { answers = Array(repeating: nil, count: group.n) }

    // MARK: Questions

    package func isDue(_ standing: Standing, now: Instant) -> Bool {
        guard nonce != 0, now.uptime >= sentAt + (standing == .full ? 5 * interval : interval / 8) else { return false }
        return standing.isQuarantined || others.contains { answers[$0.index] == nil }
    }

    /// Asks again whoever has not answered and is heard of: who is silent hears nothing either.
    package mutating func ask(
        as oneself: Oneself, isHeard: (ReplicaIndex) -> Bool, now: Instant
    ) -> [(peer: ReplicaIndex, question: Resumption)] {
        (sentAt, rounds) = (now.uptime, rounds + 1)
        let isQuarantined = oneself.standing.isQuarantined
        let question = Resumption(
            nonce: nonce, remembers: isQuarantined ? .zero : oneself.remembers, isQuarantined: isQuarantined,
            declaration: oneself.declaration)
        let asked = others.filter { answers[$0.index] == nil || oneself.standing == .quarantined(until: nil) }
        return asked.filter { rounds <= Self.blindRounds || isHeard($0) }.map { ($0, question) }
    }

    // MARK: Answers

    package mutating func hear(_ word: Recollection, from: ReplicaIndex, as oneself: Oneself, now: Instant) -> Verdict {
        if !oneself.standing.isQuarantined, word.incarnation > oneself.incarnation {
            // Its own signature: the journal is one from before a quarantine.
            return .forgot(
                "a peer shows that this replica forgot its votes at \(word.incarnation), and its journal knows nothing of it: "
                    + "it is an older backup. \(Self.advice)")
        }
        if let again = retell(word, from: from, as: oneself, now: now) { return .retell(again) }
        guard word.nonce == nonce, nonce != 0 else { return .notAsked }
        answers[from.index] = word
        switch oneself.standing {
        case .quarantined(let until): return estimate(incarnation: oneself.incarnation, known: until)
        case .rebuilding: return .waits
        case .full, .resuming: return compare(with: oneself)
        }
    }

    /// The peer counts votes of this very incarnation, which it heard before the question, or a late copy of an older
    /// question: it is told again. Seldom, because it answers; and a refusal for a later incarnation nothing that is
    /// said here can mend.
    private mutating func retell(
        _ word: Recollection, from: ReplicaIndex, as oneself: Oneself, now: Instant
    ) -> Resumption? {
        guard word.refuses, oneself.standing == .full, word.heard <= oneself.remembers, nonce != 0,
            now.uptime >= retoldAt[from.index] + interval / 8
        else { return nil }
        retoldAt[from.index] = now.uptime
        // A clock that went back makes this start look earlier than the one that the peer refused: to this peer it is a
        // later one.
        let isClockBack = word.nonce > nonce && word.nonce < .max
        return Resumption(
            nonce: isClockBack ? word.nonce + 1 : nonce, remembers: oneself.remembers, isQuarantined: false,
            declaration: oneself.declaration)
    }

    private func compare(with oneself: Oneself) -> Verdict {
        let more = answers.compactMap { $0 }.filter { $0.heard > oneself.remembers }
        if more.count >= group.weakQuorum, let least = more.map(\.heard).min() {
            return .forgot(
                "peers heard votes of this replica up to \(least), its journal remembers them up to \(oneself.remembers): "
                    + "records are lost, as by an older backup. \(Self.advice)")
        }
        let isAnswered = answers.count { $0 != nil } >= group.n - 1 - group.f
        return oneself.standing == .resuming && isAnswered ? .forgotNothing : .waits
    }

    /// An upper bound of what this replica may have voted for. Its low watermark h was certified by 2f + 1, among them
    /// at least f + 1 correct others; of 3f - m others that answered, f + 1 - m of those, and at most f - 1 - m lie. It
    /// voted up to h + L, and a VIEW-CHANGE of it speaks of numbers up to L above its checkpoints, which reach h + L
    /// (TOCS '02 §5.3, estimation).
    private mutating func estimate(incarnation: UInt64, known: SequenceNumber?) -> Verdict {
        // A clock that went back would make the new incarnation look like an old one: what this replica declared
        // before, by its own signature, is outlived.
        if let latest = answers.compactMap({ $0?.incarnation }).max(), latest > incarnation, latest < .max {
            forgetAnswers()
            return .outlive(latest + 1)
        }
        let checkpoints = answers.compactMap { $0 }.filter { $0.incarnation == incarnation }.map(\.checkpoint).sorted(
            by: >)
        guard checkpoints.count >= group.quorum else { return .waits }
        if Mutant.is(.quarantineTooShort) { return .quarantined(until: .zero) }
        let rank = checkpoints.count - 2 * group.f
        let (target, overflow) = checkpoints[rank].number.addingReportingOverflow(2 * configuration.limits.window)
        guard !overflow, known.map({ $0.number > target }) ?? true else { return .waits }
        return .quarantined(until: SequenceNumber(target))
    }
}
