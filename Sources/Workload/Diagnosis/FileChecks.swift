import Foundation

/// Keys, folders, disks and certificates of this machine.
enum FileChecks {
    /// A host waits for so much room before it goes on.
    private static let noRoom: UInt64 = 32 << 20
    private static let fewFiles: UInt64 = 100
    private static let soon: Double = 30 * 86_400

    static func findings(_ cluster: DiagnosedCluster) -> [Finding] {
        cluster.snapshot.hosts.flatMap { folder(of: $0, cluster) } + procedures(cluster) + issuer(cluster)
            + cluster.snapshot.disks.compactMap(disk)
            + cluster.snapshot.certificates.compactMap { certificate($0, cluster) }
    }

    private static func folder(of host: ClusterSnapshot.Host, _ cluster: DiagnosedCluster) -> [Finding] {
        guard let folder = host.folder else { return [] }
        let number = host.number
        let start = "host \(number), which does not start again while it is so"
        var findings: [Finding] = []
        if let other = folder.belongsElsewhere {
            findings.append(
                Finding(
                    .warning, .folderOther, host: number, other, affects: start,
                    advice: "put the folder back that was made with this cluster.json"))
        }
        if let damage = folder.damage {
            findings.append(
                Finding(
                    .warning, .folderDamaged, host: number, damage, affects: start, advice: "do what it says"))
        }
        if let key = folder.key {
            let path = "\(cluster.snapshot.folderWord)/hosts/\(number)/host.key"
            findings.append(
                Finding(
                    .warning, folder.isKeyOpen ? .keyOpen : .keyUnusable, host: number, key, affects: start,
                    advice: folder.isKeyOpen ? "let nobody else read it" : "restore it from a backup",
                    commands: folder.isKeyOpen ? ["chmod 600 \(path)"] : []))
        }
        if !folder.asides.isEmpty {
            findings.append(
                Finding(
                    .notice, .filesAside, host: number,
                    "host \(number) has put aside what was damaged: \(Words.list(folder.asides))",
                    affects: "nobody: it has fetched what it lacked; but its disk or memory may be failing",
                    advice: "look at them, then remove them",
                    commands: folder.asides.filter { $0.hasPrefix("journal") }.map {
                        "quorate inspect journal \(cluster.snapshot.folderWord)/hosts/\(number)/\(ShellWord.quoted($0))"
                    }))
        }
        return findings
    }

    private static func procedures(_ cluster: DiagnosedCluster) -> [Finding] {
        let bound = cluster.snapshot.hosts.compactMap { host in host.folder?.procedures.map { (host.number, $0) } }
        let groups = Dictionary(grouping: bound) { $0.1 }
        guard groups.count > 1, let most = groups.max(by: { $0.value.count < $1.value.count }) else { return [] }
        return bound.filter { $0.1 != most.key }.map { number, own in
            Finding(
                .warning, .proceduresDiffer, host: number,
                "host \(number) was started with other procedures (\(names(own))) than most hosts (\(names(most.key)))",
                affects: "its peers refuse it: \(cluster.consequence(ofLosing: number))",
                advice: "start all hosts with the same program",
                commands: cluster.restart(number, "--host-program PROGRAM"))
        }
    }

    private static func names(_ procedures: [String]) -> String {
        procedures.isEmpty ? "none" : Words.list(procedures)
    }

    private static func issuer(_ cluster: DiagnosedCluster) -> [Finding] {
        guard let (why, isOpen) = cluster.snapshot.issuerKey else { return [] }
        let path = "\(cluster.snapshot.folderWord)/issuer.key"
        return [
            Finding(
                .warning, isOpen ? .keyOpen : .keyUnusable, why,
                affects: "who issues money: the key is not used while it is so",
                advice: isOpen ? "let nobody else read it" : "restore it from a backup",
                commands: isOpen ? ["chmod 600 \(path)"] : [])
        ]
    }

    private static func disk(_ disk: ClusterSnapshot.Disk) -> Finding? {
        let (owners, path) = (Words.list(disk.owners), ShellWord.quoted(disk.path))
        let isOut = disk.freeBytes < noRoom || disk.freeFiles.map { $0 < fewFiles } ?? false
        // A tenth of a large disk is still much.
        let isLow = disk.freeBytes < 5 << 30 && disk.freeBytes < disk.totalBytes / 10
        guard isOut || isLow else { return nil }
        let used = disk.totalBytes == 0 ? 100 : 100 - Int(Double(disk.freeBytes) / Double(disk.totalBytes) * 100)
        let files = disk.freeFiles.map { $0 < fewFiles ? ", and room for \($0) more files" : "" } ?? ""
        return Finding(
            isOut ? .critical : .warning, isOut ? .diskFull : .diskLow,
            "the disk of \(disk.path) is \(used) % full: \(Words.bytes(disk.freeBytes)) are free\(files)",
            affects: isOut
                ? "\(owners): a host that cannot write stops voting, and goes on by itself when there is room"
                : "nobody yet; when it is full, \(owners) \(disk.owners.count == 1 ? "stops" : "stop") voting",
            advice: "make room", commands: ["df -h \(path)", "du -sh \(path)/*"])
    }

    private static func certificate(
        _ certificate: ClusterSnapshot.Certificate, _ cluster: DiagnosedCluster
    ) -> Finding? {
        let left = certificate.ends.timeIntervalSince(cluster.snapshot.taken)
        guard left < soon else { return nil }
        return Finding(
            left <= 0 ? .critical : .warning, .certificateEnds,
            left <= 0
                ? "the certificate \(certificate.path) has ended"
                : "the certificate \(certificate.path) ends in \(Words.time(left))",
            since: left <= 0 ? .at(certificate.ends) : nil,
            affects: left <= 0 ? "clients that connect by TLS: they refuse it" : "nobody yet",
            advice: "renew it, and restart who serves with it",
            commands: ["openssl x509 -noout -enddate -in \(ShellWord.quoted(certificate.path))"])
    }
}
