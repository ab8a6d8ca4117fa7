import Crypto
import Foundation
import Messages
import SwiftASN1
import X509

/// The authority that vouches for the gateways of one cluster, to their clients, by P-256 certificates: browsers and
/// the TLS of other languages do not take Ed25519 everywhere. Hosts have nothing to do with it: they know each other's
/// keys from the manifest.
package enum ClusterAuthority {
    /// Its certificate, which clients need; more may follow in the file, of other authorities that vouch for gateways.
    package static let certificateName = "authority.crt"
    /// Its secret key, which only whoever makes certificates needs.
    package static let keyName = "authority.key"
    /// Under the cluster's folder: `gateways/N` for each that is listed.
    package static let folder = "gateways"
    package static let gatewayName = "gateway.crt"
    package static let gatewayKey = "gateway.key"
    /// Some clients take none that lasts longer than 825 days.
    package static let gatewayDays = 800
    package static let authorityDays = 20 * 365

    /// Certificate and key, in PEM.
    package struct Pair: Sendable {
        /// Of an authority, certificates of others may be with its own, before or behind it.
        package let certificate: String
        package let key: String

        package init(certificate: String, key: String) { (self.certificate, self.key) = (certificate, key) }

        /// That of the key; if there are several, the one that lasts longest. Nil if there is none.
        func own(_ key: X509.Certificate.PrivateKey) -> X509.Certificate? {
            let fitting = (CertificateFile.certificates(in: Array(certificate.utf8)) ?? []).filter {
                $0.publicKey == key.publicKey
            }
            return fitting.max { $0.notValidAfter < $1.notValidAfter }
        }
    }

    /// The key has no certificate among those of its pair.
    package struct NoCertificate: Error {}

    /// A new authority.
    package static func make(_ cluster: ClusterID, now: Date = Date()) throws -> Pair {
        let key = P256.Signing.PrivateKey()
        let publicKey = X509.Certificate.PublicKey(key.publicKey)
        let name = try DistinguishedName { CommonName("Quorate cluster \(cluster.short) authority") }
        let certificate = try X509.Certificate(
            version: .v3, serialNumber: .init(), publicKey: publicKey, notValidBefore: now - week,
            notValidAfter: now + days(authorityDays), issuer: name, subject: name,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try X509.Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                SubjectKeyIdentifier(hash: publicKey)
            }, issuerPrivateKey: .init(key))
        return Pair(certificate: try certificate.serializeAsPEM().pemString + "\n", key: key.pemRepresentation + "\n")
    }

    /// A gateway's certificate, signed by the authority.
    /// - Parameters:
    ///   - names: by which clients reach it, addresses or names.
    ///   - hasLoopback: whether those of loopback are in it too.
    ///   - now: it begins a week before, so that a client whose clock is behind takes it.
    package static func issue(
        _ names: [String], hasLoopback: Bool = true, by authority: Pair, now: Date = Date(),
        lasting: TimeInterval = days(gatewayDays)
    ) throws -> Pair {
        let issuerKey = try X509.Certificate.PrivateKey(pemEncoded: authority.key)
        guard let issuer = authority.own(issuerKey) else { throw NoCertificate() }
        let key = P256.Signing.PrivateKey()
        let publicKey = X509.Certificate.PublicKey(key.publicKey)
        var all: [String] = []
        for name in names + (hasLoopback ? ["localhost", "127.0.0.1", "::1"] : []) where !all.contains(name) {
            all.append(name)
        }
        let subject = try DistinguishedName { CommonName("Quorate gateway") }
        let certificate = try X509.Certificate(
            version: .v3, serialNumber: .init(), publicKey: publicKey, notValidBefore: now - week,
            notValidAfter: min(now + lasting, issuer.notValidAfter), issuer: issuer.subject, subject: subject,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try X509.Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames(all.map(generalName))
                SubjectKeyIdentifier(hash: publicKey)
                AuthorityKeyIdentifier(keyIdentifier: SubjectKeyIdentifier(hash: issuer.publicKey).keyIdentifier)
            }, issuerPrivateKey: issuerKey)
        return Pair(certificate: try certificate.serializeAsPEM().pemString + "\n", key: key.pemRepresentation + "\n")
    }

    private static let week: TimeInterval = 7 * 86400
    package static func days(_ count: Int) -> TimeInterval { TimeInterval(count) * 86400 }

    private static func generalName(_ name: String) -> GeneralName {
        if let bytes = HostAddress(address: name, port: 0).addressBytes {
            return .ipAddress(ASN1OctetString(contentBytes: bytes[...]))
        }
        return .dnsName(name)
    }

    // MARK: In a cluster's folder

    /// Makes the authority's files, in the cluster's folder and, if it is there, in the public part.
    static func create(in folder: String, _ cluster: ClusterID) throws(FileFailure) -> Pair {
        let pair = try made(folder) { try make(cluster) }
        try DurableFile.create("\(folder)/\(keyName)", Array(pair.key.utf8), mode: 0o600)
        try publish(pair.certificate, to: folder)
        return pair
    }

    /// To whoever has to trust it.
    private static func publish(_ certificate: String, to folder: String) throws(FileFailure) {
        for place in [folder, folder + "/public"] where DurableFile.exists(place) {
            let path = "\(place)/\(certificateName)"
            if !DurableFile.exists(path) { try DurableFile.create(path, Array(certificate.utf8), mode: 0o644) }
        }
    }

    /// Writes what one gateway needs to stand alone into `gateways/N`, or, without a number, its pair into the cluster's
    /// folder, for all gateways of this machine.
    static func addGateway(
        _ number: Int?, names: [String], by authority: Pair, to folder: String
    ) throws(FileFailure) {
        let pair = try made(folder) { try issue(names, by: authority) }
        var place = folder
        if let number {
            let all = "\(folder)/\(Self.folder)"
            if !DurableFile.exists(all) { try DurableFile.createFolder(all) }
            place = "\(all)/\(number)"
            if !DurableFile.exists(place) { try DurableFile.createFolder(place) }
            for name in ["cluster.json", GatewayList.name, certificateName]
            where DurableFile.exists("\(folder)/\(name)") {
                try replace("\(place)/\(name)", try DurableFile.read("\(folder)/\(name)"), mode: 0o644)
            }
        }
        // The key first: a gateway that is started between the two is refused, and says why.
        try replace("\(place)/\(gatewayKey)", Array(pair.key.utf8), mode: 0o600)
        try replace("\(place)/\(gatewayName)", Array(pair.certificate.utf8), mode: 0o644)
        try DurableFile.syncFolder(place)
        if number != nil { try DurableFile.syncFolder("\(folder)/\(Self.folder)") }
    }

    /// Whole or as it was.
    private static func replace(_ path: String, _ bytes: [UInt8], mode: mode_t) throws(FileFailure) {
        try DurableFile.remove(path + ".new")
        try DurableFile.create(path + ".new", bytes, mode: mode)
        try DurableFile.replace(path, by: path + ".new")
    }

    /// The library's own failures are none of input's.
    private static func made(_ folder: String, _ make: () throws -> Pair) throws(FileFailure) -> Pair {
        do { return try make() } catch { throw FileFailure("sign a certificate for", folder, EINVAL) }
    }
}

extension ClusterFolder {
    /// The certificates of authorities that clients trust, from `authority.crt`; nil where gateways speak plain TCP.
    /// - Throws: `authority` if the file holds none, `file` if it cannot be read, or looked for: to go on without would
    ///   be to speak plainly.
    public func authorities() throws(ClusterFolderError) -> String? {
        let path = "\(path)/\(ClusterAuthority.certificateName)"
        guard !DurableFile.isAbsent(path) else { return nil }
        let bytes: [UInt8]
        do { bytes = try DurableFile.read(path, limit: 1 << 20) } catch { throw .file(error) }
        guard CertificateFile.certificates(in: bytes) != nil else { throw .authority(path) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A new key and certificate for each gateway that is listed, or for those of this machine; and an authority, where
    /// there is none yet. `gateways/N` is made anew, and has to be copied to where its gateway runs.
    /// - Parameters:
    ///   - number: only this gateway's; nil for all.
    ///   - names: by which it is reached, beside where `gateways.json` has it.
    /// - Returns: the folders that changed.
    /// - Throws: `ClusterFolderError`, `InputProblem`.
    package func makeCertificates(number: Int? = nil, names: [String] = []) throws -> [String] {
        let keyPath = "\(path)/\(ClusterAuthority.keyName)"
        let authority: ClusterAuthority.Pair
        do {
            if let text = try authorities() {
                guard DurableFile.exists(keyPath) else { throw ClusterFolderError.noAuthorityKey(keyPath) }
                let mode = try DurableFile.mode(of: keyPath)
                guard mode & 0o077 == 0 else {
                    throw ServerCertificateError.tooOpen(path: keyPath, mode: UInt32(mode))
                }
                let key = String(decoding: try DurableFile.read(keyPath, limit: 1 << 16), as: UTF8.self)
                authority = .init(certificate: text, key: key)
                guard let secret = try? X509.Certificate.PrivateKey(pemEncoded: key) else {
                    throw ServerCertificateError.notAKey(path: keyPath)
                }
                guard authority.own(secret) != nil else {
                    throw ClusterFolderError.otherAuthority(
                        "\(path)/\(ClusterAuthority.certificateName)", key: keyPath)
                }
            } else {
                authority = try ClusterAuthority.create(in: path, manifest.cluster)
            }
            let listed = try GatewayList.read(in: self)
            if let number {
                let own = listed.indices.contains(number) ? [listed[number].address] : []
                try ClusterAuthority.addGateway(number, names: own + names, by: authority, to: path)
                return ["\(path)/\(ClusterAuthority.folder)/\(number)"]
            }
            guard !listed.isEmpty else {
                try ClusterAuthority.addGateway(nil, names: names, by: authority, to: path)
                return [path]
            }
            for (number, gateway) in listed.enumerated() {
                try ClusterAuthority.addGateway(number, names: [gateway.address] + names, by: authority, to: path)
            }
            return listed.indices.map { "\(path)/\(ClusterAuthority.folder)/\($0)" }
        } catch let failure as FileFailure {
            throw ClusterFolderError.file(failure)
        }
    }
}
