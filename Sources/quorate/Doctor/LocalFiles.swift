import Foundation
import HostRuntime
import Messages
import StrictInput
import Workload

/// What this machine has of a cluster's folder. Nothing is written.
struct LocalFiles: Sendable {
    let folder: ClusterFolder

    /// Of a process there it would be seen here.
    static func isLocal(_ address: String) -> Bool {
        let place = HostAddress(address: address, port: 0)
        return place.isLoopback || place.isWildcard
            || place.normal.address == ProcessInfo.processInfo.hostName.lowercased()
    }

    /// Nil if the folder is on another machine.
    func folder(ofHost number: Int) -> ClusterSnapshot.Folder? {
        let path = "\(folder.path)/hosts/\(number)"
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        var found = ClusterSnapshot.Folder()
        do {
            let host = try folder.host(HostID(UInt16(number)))
            do { _ = try host.signer() } catch {
                found.key = error.description
                if case .tooOpen = error { found.isKeyOpen = true }
            }
        } catch {
            switch error {
            case .belongsElsewhere: found.belongsElsewhere = error.description
            default: found.damage = error.description
            }
        }
        if let bytes = FileManager.default.contents(atPath: path + "/procedures") {
            found.procedures = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map {
                Printable.line(String($0.prefix(64)))
            }
        }
        found.asides = asides(in: path, under: "") + asides(in: path + "/state", under: "state/")
        return found
    }

    private func asides(in path: String, under prefix: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.filter { $0.contains(".damaged-") }.sorted().map { prefix + Printable.line($0) }
    }

    /// - Returns: nil if it can be used, or is not here.
    func issuerKey() -> (why: String, isOpen: Bool)? {
        guard FileManager.default.fileExists(atPath: folder.path + "/issuer.key") else { return nil }
        do {
            _ = try folder.issuer()
            return nil
        } catch {
            if case .tooOpen = error { return (error.description, true) }
            return (error.description, false)
        }
    }

    /// Of the cluster's folder and of each host's, each once.
    func disks() -> [ClusterSnapshot.Disk] {
        var disks: [(device: UInt64, disk: ClusterSnapshot.Disk)] = []
        let hosts = folder.manifest.hosts.indices.map { (owner: "host \($0)", path: "\(folder.path)/hosts/\($0)") }
        for (owner, path) in hosts + [("the gateways' logs", folder.path + "/logs")] {
            guard let identity = FolderIdentity(of: path) else { continue }
            if let known = disks.firstIndex(where: { $0.device == identity.device }) {
                disks[known].disk.owners.append(owner)
                // The folder above names them all, if it is there too.
                if FolderIdentity(of: folder.path)?.device == identity.device { disks[known].disk.path = folder.path }
                continue
            }
            var status = statvfs()
            guard statvfs(path, &status) == 0 else { continue }
            let block = UInt64(status.f_frsize)
            disks.append(
                (
                    identity.device,
                    ClusterSnapshot.Disk(
                        path, owners: [owner],
                        freeBytes: UInt64(status.f_bavail).multipliedReportingOverflow(by: block)
                            .partialValue,
                        totalBytes: UInt64(status.f_blocks).multipliedReportingOverflow(by: block).partialValue,
                        freeFiles: status.f_files == 0 ? nil : UInt64(status.f_favail))
                ))
        }
        return disks.map(\.disk)
    }

    /// Whatever lies in the cluster's folder, a host's or a gateway's as a PEM file that is a certificate.
    func certificates() -> [ClusterSnapshot.Certificate] {
        let gateways = folder.path + "/" + ClusterAuthority.folder
        let numbers = ((try? FileManager.default.contentsOfDirectory(atPath: gateways)) ?? []).sorted()
        let folders =
            [folder.path, folder.path + "/tls"] + folder.manifest.hosts.indices.map { "\(folder.path)/hosts/\($0)" }
            + numbers.map { "\(gateways)/\($0)" }
        return folders.flatMap { folder in
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            return names.filter { $0.hasSuffix(".pem") || $0.hasSuffix(".crt") }.sorted().compactMap { name in
                let path = folder + "/" + name
                return CertificateFile.end(of: path).map { ClusterSnapshot.Certificate(path, ends: $0) }
            }
        }
    }
}

/// The end of a process's log.
enum LogEnd {
    private static let length: UInt64 = 256 << 10

    static func read(_ path: String) -> ClusterSnapshot.Log {
        var log = ClusterSnapshot.Log()
        guard let file = FileHandle(forReadingAtPath: path) else { return log }
        defer { try? file.close() }
        guard let size = try? file.seekToEnd() else { return log }
        try? file.seek(toOffset: size - min(size, length))
        let bytes = (try? file.readToEnd()) ?? Data()
        for line in bytes.split(separator: 0x0a) { note(String(decoding: line, as: UTF8.self), in: &log) }
        return log
    }

    /// `2026-11-29T11:20:05.123Z critical host-2 …`
    private static func note(_ line: String, in log: inout ClusterSnapshot.Log) {
        let words = line.split(separator: " ", maxSplits: 3)
        guard words.count == 4, let time = date(words[0]) else { return }
        log.lastWord = time
        // It began anew: what it complained of before is over.
        if words[1] == "info", words[3].contains(" listens on ") { log.complaint = nil }
        if words[1] == "critical", log.complaint == nil {
            log.complaint = (time, Printable.line(String(words[3].prefix(400))))
        }
    }

    private static func date(_ word: Substring) -> Date? {
        try? Date(String(word), strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
