import Client
import Foundation
import HostRuntime
import Messages
import NIOCore
import QuorateHost
import Synchronization
import Testing
import Web

private let quiet = LineLogHandler.logger("test", level: .critical)
private func cluster(_ byte: UInt8) throws -> ClusterID {
    try #require(ClusterID(bytes: [UInt8](repeating: byte, count: 32)))
}

/// An authority, and files of a gateway's certificate and key.
private struct Authority {
    let pair: ClusterAuthority.Pair
    let folder: TemporaryFolder

    init(_ byte: UInt8 = 7) throws {
        pair = try ClusterAuthority.make(try cluster(byte))
        folder = try TemporaryFolder()
        try pair.certificate.write(toFile: path, atomically: true, encoding: .utf8)
    }

    var path: String { folder.path("authority.crt") }
    var trust: GatewayTrust { GatewayTrust(authorities: pair.certificate) }

    /// - Returns: where certificate and key are.
    func issue(
        _ name: String = "gateway", names: [String] = [], hasLoopback: Bool = true, now: Date = Date(),
        lasting: TimeInterval = ClusterAuthority.days(30)
    ) throws -> (certificate: String, key: String) {
        let made = try ClusterAuthority.issue(names, hasLoopback: hasLoopback, by: pair, now: now, lasting: lasting)
        let (certificate, key) = (folder.path(name + ".crt"), folder.path(name + ".key"))
        try made.certificate.write(toFile: certificate, atomically: true, encoding: .utf8)
        try made.key.write(toFile: key, atomically: true, encoding: .utf8)
        #expect(chmod(key, 0o600) == 0)
        return (certificate, key)
    }

    func serverCertificate(names: [String] = [], hasLoopback: Bool = true) throws -> ServerCertificate {
        let files = try issue(names: names, hasLoopback: hasLoopback)
        return try ServerCertificate(path: files.certificate, keyPath: files.key)
    }
}

/// A gateway in this process whose hosts are nowhere: its port is what is looked at.
private func gateway(_ certificate: ServerCertificate?, _ change: (inout GatewayClientOptions) -> Void = { _ in })
    async throws -> GatewayHost
{
    var options = GatewayRuntimeOptions()
    options.clients.tls = certificate
    change(&options.clients)
    let keys = try (0...4).map { try #require(Ed25519Signer(seed: [UInt8](repeating: $0 + 1, count: 32))).publicKey }
    let manifest = Manifest(
        cluster: try cluster(1), epoch: Epoch(1),
        hosts: (0..<4).map { .init(address: "127.0.0.1", port: 1, publicKey: keys[$0]) },
        shards: [(0..<4).map { HostID(UInt16($0)) }], issuer: keys[4])
    return try await GatewayHost.start(manifest: manifest, port: 0, options: options, logger: quiet)
}

/// Another program, with what it said.
private func stranger(_ program: String, _ arguments: String...) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let pipe = Pipe()
    (process.standardInput, process.standardOutput, process.standardError) = (FileHandle.nullDevice, pipe, pipe)
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
}

/// Clients and gateways in TLS, with strangers who speak something else.
@Suite(.serialized) struct ClientTLSTests {
    private func failure(_ address: GatewayAddress, asks: Bool = false) async -> ConnectionError? {
        do {
            let connection = try await GatewayConnection.connect(address)
            defer { connection.closeWhenIdle() }
            if asks { _ = try await connection.status() }
            return nil
        } catch {
            return error as? ConnectionError
        }
    }

    @Test func aClientTrustsTheClustersAuthorityAndNobodyElse() async throws {
        let (authority, other) = (try Authority(), try Authority())
        defer { for one in [authority, other] { one.folder.remove() } }
        let certificate = try authority.serverCertificate()
        let gateway = try await gateway(certificate)
        for host in ["127.0.0.1", "localhost"] {
            let connection = try await GatewayConnection.connect(
                GatewayAddress(host: host, port: gateway.port, trust: authority.trust))
            #expect(try await connection.status().completed == 0)
            await connection.close()
        }
        let pinned = GatewayTrust(pinned: certificate.leaf)
        #expect(await failure(GatewayAddress(host: "127.0.0.1", port: gateway.port, trust: pinned)) == nil)

        for trust in [other.trust, GatewayTrust(pinned: [1, 2, 3]), GatewayTrust(authorities: "nothing")] {
            let error = await failure(GatewayAddress(host: "127.0.0.1", port: gateway.port, trust: trust))
            guard case .notTrusted(_, let why)? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(why.contains("authority") || why.contains("own"), "\(why)")
        }
        await gateway.stop()
    }

    @Test func aCertificateForAnotherNameIsRefused() async throws {
        let authority = try Authority()
        defer { authority.folder.remove() }
        let certificate = try authority.serverCertificate(names: ["g.example", "10.0.0.7"], hasLoopback: false)
        let gateway = try await gateway(certificate)
        // The gateway's own process, which knows the certificate itself.
        let pinned = GatewayTrust(pinned: certificate.leaf)
        #expect(await failure(GatewayAddress(host: "127.0.0.1", port: gateway.port, trust: pinned)) == nil)
        for host in ["127.0.0.1", "localhost"] {
            let error = await failure(GatewayAddress(host: host, port: gateway.port, trust: authority.trust))
            #expect("\(error as Any)".contains("other names than \(host)"), "\(error as Any)")
        }
        await gateway.stop()
    }

    @Test func whoeverSpeaksTLSToAPlainPortOrPlainlyToOneOfTLSIsToldSo() async throws {
        let authority = try Authority()
        defer { authority.folder.remove() }
        let (secured, plain) = (try await gateway(try authority.serverCertificate()), try await gateway(nil))
        let plainly = await failure(GatewayAddress(host: "127.0.0.1", port: secured.port), asks: true)
        guard case .tlsMismatch(_, let why)? = plainly else {
            Issue.record("\(String(describing: plainly))")
            return
        }
        #expect(why.contains("it speaks TLS"))
        let secretly = await failure(GatewayAddress(host: "127.0.0.1", port: plain.port, trust: authority.trust))
        guard case .tlsMismatch(_, let reason)? = secretly else {
            Issue.record("\(String(describing: secretly))")
            return
        }
        #expect(reason.contains("does not speak it"))

        // A browser at the wrong port.
        for gateway in [secured, plain] {
            let (_, answer) = try stranger("curl", "-sS", "-i", "--max-time", "5", "http://127.0.0.1:\(gateway.port)/")
            #expect(answer.contains("400 Bad Request") && answer.contains("binary protocol"), "\(answer)")
        }
        await secured.stop()
        await plain.stop()
    }

    /// As a program that shares no code with this one sees it.
    @Test func strangersGetTLS13OnlyAndAChainThatTheyCanVerify() async throws {
        let authority = try Authority()
        defer { authority.folder.remove() }
        let gateway = try await gateway(try authority.serverCertificate())
        let place = "127.0.0.1:\(gateway.port)"
        let good = try stranger(
            "openssl", "s_client", "-connect", place, "-tls1_3", "-CAfile", authority.path, "-verify_return_error",
            "-verify_ip", "127.0.0.1", "-brief")
        #expect(good.status == 0 && good.output.contains("TLSv1.3"), "\(good.output)")
        let old = try stranger("openssl", "s_client", "-connect", place, "-tls1_2", "-brief")
        #expect(old.status != 0 && old.output.lowercased().contains("protocol version"), "\(old.output)")
        await gateway.stop()
    }

    /// A gateway's own process would not start with it.
    @Test func anEndedCertificateIsRefusedByBothSides() async throws {
        let authority = try Authority()
        defer { authority.folder.remove() }
        let ended = try authority.issue("ended", now: Date() - ClusterAuthority.days(60))
        #expect(throws: ServerCertificateError.self) {
            try ServerCertificate(path: ended.certificate, keyPath: ended.key)
        }
        let port = Tool.freePorts()
        let server = Process()
        server.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        server.arguments = [
            "openssl", "s_server", "-accept", "127.0.0.1:\(port)", "-cert", ended.certificate, "-key", ended.key,
            "-quiet",
        ]
        (server.standardInput, server.standardOutput, server.standardError) = (
            FileHandle.nullDevice, FileHandle.nullDevice, FileHandle.nullDevice
        )
        try server.run()
        defer { server.terminate() }
        var error: ConnectionError?
        for _ in 0..<200 {
            error = await failure(GatewayAddress(host: "127.0.0.1", port: port, trust: authority.trust))
            guard case .cannotConnect? = error else { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect("\(error as Any)".contains("its certificate ended on"), "\(error as Any)")
    }

    @Test func aHandshakeThatDoesNotEndTakesNobodysPlace() async throws {
        let authority = try Authority()
        defer { authority.folder.remove() }
        let gateway = try await gateway(try authority.serverCertificate()) { options in
            options.handshakeTimeout = .milliseconds(300)
            (options.maxHandshakes, options.maxClients) = (4, 1)
        }
        let address = GatewayAddress(host: "127.0.0.1", port: gateway.port, trust: authority.trust)
        let client = try await GatewayConnection.connect(address)
        let idlers = try (0..<12).map { _ in try RawSocket(port: gateway.port) }
        // The beginning of a record, and no more.
        for idler in idlers { idler.write([22, 3, 1]) }
        for idler in idlers { idler.waitForEnd() }
        #expect(try await client.status().completed == 0)
        await client.close()
        await gateway.stop()
    }

    @Test func aNewCertificateIsTakenWithoutARestart() async throws {
        let (old, new) = (try Authority(), try Authority())
        defer { for one in [old, new] { one.folder.remove() } }
        let certificate = try old.serverCertificate()
        let gateway = try await gateway(certificate)
        let early = try await GatewayConnection.connect(
            GatewayAddress(host: "127.0.0.1", port: gateway.port, trust: old.trust))
        let files = try new.issue()
        // A key that does not belong to the certificate changes nothing.
        try FileManager.default.removeItem(atPath: certificate.keyPath)
        try FileManager.default.copyItem(atPath: files.key, toPath: certificate.keyPath)
        #expect(throws: ServerCertificateError.mismatch(certificate: certificate.path, key: certificate.keyPath)) {
            try certificate.reread()
        }
        try FileManager.default.removeItem(atPath: certificate.path)
        try FileManager.default.copyItem(atPath: files.certificate, toPath: certificate.path)
        try certificate.reread()
        #expect(try await early.status().completed == 0)
        #expect(await failure(GatewayAddress(host: "127.0.0.1", port: gateway.port, trust: new.trust)) == nil)
        #expect(await failure(GatewayAddress(host: "127.0.0.1", port: gateway.port, trust: old.trust)) != nil)
        await early.close()
        await gateway.stop()
    }

    /// Storage may hang: then only the certificate stays as it was.
    @Test func aCertificateThatCannotBeReadHoldsUpNoOtherSignal() async throws {
        let authority = try Authority()
        defer { authority.folder.remove() }
        let certificate = try authority.serverCertificate()
        try FileManager.default.removeItem(atPath: certificate.path)
        #expect(mkfifo(certificate.path, 0o600) == 0)
        let rereading = CertificateSignal(certificate, logger: quiet)
        let hasCome = Mutex(false)
        let watch = SignalWatch([SIGCONT]) { _ in hasCome.withLock { $0 = true } }
        kill(getpid(), SIGHUP)
        // Who reads hangs until somebody writes.
        var writer: Int32 = -1
        for _ in 0..<500 where writer < 0 {
            writer = open(certificate.path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
            if writer < 0 { try await Task.sleep(for: .milliseconds(10)) }
        }
        #expect(writer >= 0)
        kill(getpid(), SIGCONT)
        for _ in 0..<500 where !hasCome.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(10)) }
        #expect(hasCome.withLock { $0 })
        close(writer)
        withExtendedLifetime((rereading, watch)) {}
    }

    @Test func anOldAndANewAuthorityMayVouchTogether() async throws {
        let (old, new) = (try Authority(), try Authority())
        defer { for one in [old, new] { one.folder.remove() } }
        let both = old.pair.certificate + new.pair.certificate
        for (pair, certificates) in [(old.pair, both), (new.pair, both)] {
            let made = try ClusterAuthority.issue([], by: .init(certificate: certificates, key: pair.key))
            try made.certificate.write(toFile: old.folder.path("a.crt"), atomically: true, encoding: .utf8)
            try made.key.write(toFile: old.folder.path("a.key"), atomically: true, encoding: .utf8)
            #expect(chmod(old.folder.path("a.key"), 0o600) == 0)
            let served = try ServerCertificate(path: old.folder.path("a.crt"), keyPath: old.folder.path("a.key"))
            let gateway = try await gateway(served)
            let trusts = [(GatewayTrust(authorities: both), true), (old.trust, pair.key == old.pair.key)]
            for (trust, isTaken) in trusts {
                let error = await failure(GatewayAddress(host: "127.0.0.1", port: gateway.port, trust: trust))
                #expect((error == nil) == isTaken, "\(String(describing: error))")
            }
            await gateway.stop()
        }
        #expect(throws: ClusterAuthority.NoCertificate.self) {
            try ClusterAuthority.issue([], by: .init(certificate: new.pair.certificate, key: old.pair.key))
        }
    }

    /// In a cluster's folder: `authority.crt` with another authority before its own, and then where it cannot be read.
    @Test func whatIsThereAndCannotBeReadIsNotNothing() throws {
        let (other, folder) = (try Authority(), try TemporaryFolder())
        defer {
            other.folder.remove()
            folder.remove()
        }
        let bank = folder.path("bank")
        let cluster = try ClusterFolder.create(
            at: bank, shards: 1, replicas: 4, basePort: 7100, clientTLS: true)
        let path = bank + "/authority.crt"
        let own = try String(contentsOfFile: path, encoding: .utf8)
        try (other.pair.certificate + own).write(toFile: path, atomically: true, encoding: .utf8)
        #expect(try cluster.authorities() == other.pair.certificate + own)
        let before = try String(contentsOfFile: bank + "/gateway.crt", encoding: .utf8)
        #expect(try cluster.makeCertificates() == [bank])
        #expect(try String(contentsOfFile: bank + "/gateway.crt", encoding: .utf8) != before)
        #expect(!FileManager.default.fileExists(atPath: bank + "/gateway.crt.new"))
        try other.pair.certificate.write(toFile: path, atomically: true, encoding: .utf8)
        #expect(throws: ClusterFolderError.otherAuthority(path, key: bank + "/authority.key")) {
            try cluster.makeCertificates()
        }

        // A link that leads nowhere, or to itself.
        let manifest = bank + "/cluster.json"
        for target in ["nowhere", "authority.crt"] {
            try FileManager.default.removeItem(atPath: path)
            #expect(symlink(target, path) == 0)
            #expect(throws: ClusterFolderError.self) { try cluster.authorities() }
            #expect(GatewayTrust(beside: manifest) == GatewayTrust(authorities: ""))
        }
        #expect(unlink(path) == 0)
        #expect(try cluster.authorities() == nil && GatewayTrust(beside: manifest) == nil)
        // The gateway's side.
        #expect(unlink(bank + "/gateway.crt") == 0 && unlink(bank + "/gateway.key") == 0)
        #expect(try ServerCertificate.find(in: bank, gateway: 0) == nil)
        #expect(symlink("nowhere", bank + "/gateway.crt") == 0)
        #expect(throws: ServerCertificateError.self) { try ServerCertificate.find(in: bank, gateway: 0) }
    }

    @Test func aKeyThatOthersMayReadIsRefused() throws {
        let authority = try Authority()
        defer { authority.folder.remove() }
        let files = try authority.issue()
        #expect(chmod(files.key, 0o640) == 0)
        #expect(throws: ServerCertificateError.tooOpen(path: files.key, mode: 0o640)) {
            try ServerCertificate(path: files.certificate, keyPath: files.key)
        }
    }

    @Test func httpsIsServedAndPlainHTTPIsSentThere() async throws {
        let authority = try Authority()
        defer { authority.folder.remove() }
        let certificate = try authority.serverCertificate()
        var options = WebOptions()
        options.tls = { certificate.webContext }
        let server = try await WebServer.start([HealthPart { [] }], options: options, logger: quiet)
        let place = "127.0.0.1:\(server.port)/health/live"
        let good = try stranger("curl", "-sS", "-i", "--max-time", "5", "--cacert", authority.path, "https://\(place)")
        #expect(good.status == 0 && good.output.contains("200 OK"), "\(good.output)")
        let unknown = try stranger("curl", "-sS", "--max-time", "5", "https://\(place)")
        #expect(unknown.status == 60, "\(unknown.output)")
        let plain = try stranger("curl", "-sS", "-i", "--max-time", "5", "http://\(place)")
        #expect(plain.output.contains("400 Bad Request") && plain.output.contains("https://"), "\(plain.output)")
        await server.stop()
    }

    @Test func whatIsSaidOfCertificatesHasToFitTogether() throws {
        let authority = try Authority()
        defer { authority.folder.remove() }
        let files = try authority.issue()
        func certificate(_ given: [ServiceSetting: String], in folder: String = "/nowhere") throws -> ServerCertificate?
        {
            try ServiceSettings(for: .gateway, given: given, file: nil, environment: [:]).certificate(in: folder)
        }
        #expect(try certificate([:]) == nil)
        #expect(try certificate([.tlsCertificate: files.certificate, .tlsKey: files.key]) != nil)
        #expect(throws: SettingProblem.self) { try certificate([.tlsCertificate: files.certificate]) }
        #expect(throws: SettingProblem.self) { try certificate([.clientTLS: "on"]) }
        #expect(throws: SettingProblem.self) {
            try certificate([.clientTLS: "off", .tlsCertificate: files.certificate, .tlsKey: files.key])
        }
        // Its folder's own, unless it is told not to.
        let own = authority.folder.path("own")
        try FileManager.default.createDirectory(atPath: own, withIntermediateDirectories: true)
        for (from, to) in [(files.certificate, "gateway.crt"), (files.key, "gateway.key")] {
            try FileManager.default.copyItem(atPath: from, toPath: own + "/" + to)
        }
        #expect(try certificate([:], in: own) != nil)
        #expect(try certificate([.clientTLS: "off"], in: own) == nil)
    }

    /// The tool, against a gateway that is somebody else's.
    @Test func theToolSaysWhomItDoesNotTrust() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let (bank, other, port) = (folder.path("bank"), folder.path("other"), Tool.freePorts())
        let hosts = (1...4).map { "127.0.0.1:\(port + $0)" }.joined(separator: ",")
        for path in [bank, other] {
            try Tool.succeed(["cluster", "init", path, "--hosts", hosts, "--gateways", "127.0.0.1:\(port)"])
        }
        let gateway = try RunningTool(["gateway", "run", bank + "/gateways/0"])
        defer { gateway.signal(SIGKILL) }
        #expect(gateway.waits { gateway.errors.contains("in TLS 1.3") }, "\(gateway.errors)")
        let show = ["account", "show", String(repeating: "ab", count: 16), "--cluster"]
        let authority = bank + "/public/authority.crt"
        try FileManager.default.removeItem(atPath: authority)
        try FileManager.default.copyItem(atPath: other + "/authority.crt", toPath: authority)
        let wrong = try Tool.run(show + [bank + "/public"])
        #expect(wrong.status == 45 && wrong.output.contains("is not of this cluster's authority"), "\(wrong.output)")
        try FileManager.default.removeItem(atPath: authority)
        let plain = try Tool.run(show + [bank + "/public"])
        #expect(plain.status == 45 && plain.output.contains("it speaks TLS"), "\(plain.output)")

        // A new certificate, while it runs.
        let before = try String(contentsOfFile: bank + "/gateways/0/gateway.crt", encoding: .utf8)
        try Tool.succeed("cluster", "certificates", bank)
        #expect(try String(contentsOfFile: bank + "/gateways/0/gateway.crt", encoding: .utf8) != before)
        gateway.signal(SIGHUP)
        #expect(gateway.waits { gateway.errors.contains("new connections get the certificate") }, "\(gateway.errors)")
        gateway.signal(SIGTERM)
        #expect(gateway.end().status == 0)
    }
}
