import Messages

/// Whether all run with the same manifest, by the fingerprints that they say. Nothing else would show it: sessions compare
/// cluster and epoch, and a host with another key for an authority works until that key is used.
enum ManifestChecks {
    /// By part.
    private typealias Fingerprints = [Manifest.Part: UInt64]

    static func findings(_ cluster: DiagnosedCluster) -> [Finding] {
        let snapshot = cluster.snapshot
        let own = Dictionary(
            uniqueKeysWithValues: Manifest.Part.allCases.map { ($0, snapshot.manifest.fingerprint(of: $0)) })
        let hosts = snapshot.hosts.map { ($0.number, fingerprints($0.answer.latest?.metrics ?? [])) }
        let usual = usual(hosts.map(\.1), own)
        var findings: [Finding] = []
        let differing = differences(own, from: usual)
        if !differing.isEmpty {
            findings.append(
                Finding(
                    severity(differing), .manifestsDiffer,
                    "the hosts run with another cluster.json than that of \(snapshot.folderWord): it has \(words(differing))",
                    affects:
                        "whoever uses this cluster.json: it may look for hosts where they are not, or take right certificates for wrong",
                    advice: "copy cluster.json from a host's folder, or restart the hosts if they are to use this one"))
        }
        for (number, said) in hosts {
            let differing = differences(said, from: usual)
            guard !differing.isEmpty else { continue }
            findings.append(
                Finding(
                    severity(differing), .manifestsDiffer, host: number,
                    "host \(number) runs with another cluster.json than most: it has \(words(differing))",
                    affects: severity(differing) == .critical
                        ? "what it executes may differ from what others do, and then its votes count for nothing: one host less may fail"
                        : "it may not find the others, or look for them where they are not",
                    advice: "give it the cluster.json that the others have, and restart it",
                    commands: cluster.restart(number)))
        }
        for gateway in snapshot.gateways {
            let differing = differences(fingerprints(gateway.answer.latest?.metrics ?? []), from: usual)
            guard !differing.isEmpty else { continue }
            findings.append(
                Finding(
                    .warning, .manifestsDiffer, gateway: gateway.number,
                    "gateway \(gateway.number) runs with another cluster.json than the hosts: it has \(words(differing))",
                    affects: "its clients: it may not find hosts, or take what they say for wrong",
                    advice: "give it the cluster.json that the hosts have, and restart it"))
        }
        return findings
    }

    /// What a process says; empty for one of a version that says nothing.
    private static func fingerprints(_ metrics: [MetricSample]) -> Fingerprints {
        var found: Fingerprints = [:]
        for sample in metrics where sample.name == "quorate_manifest_fingerprint" {
            let label = sample.labels.first { $0.name == "part" }
            if let part = label.flatMap({ Manifest.Part(rawValue: $0.value) }) { found[part] = sample.value }
        }
        return found
    }

    /// Of each part, what most hosts say; where as many say something else, what this folder has, or else the least.
    private static func usual(_ hosts: [Fingerprints], _ own: Fingerprints) -> Fingerprints {
        var usual: Fingerprints = [:]
        for part in Manifest.Part.allCases {
            let votes = Dictionary(grouping: hosts.compactMap { $0[part] }) { $0 }.mapValues(\.count)
            usual[part] =
                votes.min { a, b in
                    func rank(_ vote: (key: UInt64, value: Int)) -> (Int, Int, UInt64) {
                        (-vote.value, vote.key == own[part] ? 0 : 1, vote.key)
                    }
                    return rank(a) < rank(b)
                }?.key
        }
        return usual
    }

    /// In the order of declaration; what is not said does not differ.
    private static func differences(_ said: Fingerprints, from usual: Fingerprints) -> [Manifest.Part] {
        Manifest.Part.allCases.filter { part in
            guard let said = said[part], let usual = usual[part] else { return false }
            return said != usual
        }
    }

    private static func severity(_ parts: [Manifest.Part]) -> Finding.Severity {
        parts == [.addresses] ? .warning : .critical
    }

    private static func words(_ parts: [Manifest.Part]) -> String {
        Words.list(parts.map(word))
    }

    private static func word(_ part: Manifest.Part) -> String {
        switch part {
        case .keys: "other keys of hosts"
        case .addresses: "other addresses of hosts"
        case .shards: "other shards"
        case .issuer: "another issuer's key"
        case .compliance: "another compliance key, or none"
        }
    }
}
