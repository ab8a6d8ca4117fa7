import Client
import struct Crypto.SHA256
import Hummingbird
import Messages
import StrictInput

extension APIPart {
    /// A quorum read of an account, with all that proves it.
    func account(_ parameter: String, _ query: APIQuery) async throws -> Response {
        let id = try APIQuery.account(parameter)
        let asset = try query.number("asset", UInt32.self)
        let (answers, nonce) = try await read(.account(id), query)
        let view = answers.first?.statement.view
        if let view, let asset, view.asset.number != asset {
            throw Problem(.wrongAsset, "the account holds asset \(view.asset)")
        }
        var members: [(key: String, value: WebJSON)] = [
            ("account", .string(id.hex)), ("exists", .boolean(view != nil)),
        ]
        if let view {
            members += [
                ("owner", .string(view.owner.hex)), ("asset", .number(Int(view.asset.number))),
                ("posted", .string(view.posted.description)),
                ("pending_debits", .string(view.pendingDebits.description)),
                ("pending_credits", .string(view.pendingCredits.description)),
            ]
            if let freeze = view.freeze {
                members.append(
                    (
                        "frozen",
                        .object([
                            ("direction", .string(freeze.direction.description)),
                            ("reason", .number(Int(freeze.reason))),
                        ])
                    ))
            }
        }
        return .json(.object(members).adding(proof(answers, nonce)))
    }

    /// A quorum read of what a shard has recorded of a principal's request numbers.
    func principal(_ parameter: String, _ query: APIQuery) async throws -> Response {
        let key: PublicKey = try APIQuery.bytes32("principal", parameter)
        guard let number = try query.number("shard", UInt16.self) else {
            throw Problem(.malformedParameter, "shard is missing: each shard has its own numbers of a principal")
        }
        guard manifest.hasShard(ShardID(number)) else {
            throw Problem(.malformedParameter, "there is no shard \(number); the last is \(manifest.shardCount - 1)")
        }
        let (answers, nonce) = try await read(.principal(key, at: ShardID(number)), query)
        let standing = answers.first?.statement.standing
        return .json(
            WebJSON.object([
                ("principal", .string(key.hex)),
                ("acknowledged_below", .string("\(standing?.acknowledgedBelow ?? RequestNumber(0))")),
                ("next_number", .string("\(standing?.nextNumber ?? RequestNumber(0))")),
            ]).adding(proof(answers, nonce)))
    }

    /// The signed parts, as they were signed: the statement without the times, and each answer's times and signature.
    private func proof(_ answers: [ReadAnswer], _ nonce: Digest) -> [(key: String, value: WebJSON)] {
        guard let statement = answers.first?.statement else { return [] }
        return [
            ("shard", .number(Int(statement.shard.number))), ("nonce", .string(nonce.hex)),
            ("statement", .string(Hex.encode(statement.encoded()))),
            (
                "answers",
                .array(
                    answers.map { answer in
                        [
                            "replica": .number(Int(answer.signature.replica.number)),
                            "time": .string(answer.time.description), "clock": .string(answer.clock.description),
                            "signature": .string(Hex.encode(answer.signature.signature.bytes)),
                        ]
                    })
            ),
        ]
    }

    /// Asks until 2f + 1 replicas say the same, or the time is over.
    private func read(_ subject: ReadSubject, _ query: APIQuery) async throws -> (answers: [ReadAnswer], nonce: Digest)
    {
        var random = SystemRandomNumberGenerator()
        let drawn = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        // Whoever checks the proof draws it himself, so that no old answer passes for a new one.
        guard let nonce = try query.bytes32("nonce", Digest.self) ?? Digest(bytes: drawn) else {
            throw Problem(.internalError, "no nonce")
        }
        let verifier = Verifier(manifest: manifest, scheme: Ed25519Scheme(), remembered: 2)
        let end = ContinuousClock.now + options.readTimeout
        var pause = Duration.milliseconds(20)
        var got = 0
        while true {
            let left = ContinuousClock.now.duration(to: end)
            guard left > .zero else { break }
            let answers: [ReadAnswer]
            do { answers = try await link.ask { try await $0.read(subject, nonce: nonce, timeout: left) } } catch {
                throw GatewayLink.problem(error)
            }
            if (try? verifier.verify(answers, of: subject, nonce: nonce)) != nil { return (answers, nonce) }
            got = answers.count
            guard ContinuousClock.now + pause < end else { break }
            try await Task.sleep(for: pause)
            pause = min(pause * 2, .seconds(1))
        }
        let shard = subject.shard(in: manifest.shardMap)
        let needed = manifest.group(of: shard).quorum
        throw Problem(
            .noQuorum, "\(got) replicas of shard \(shard) said the same, and \(needed) are needed",
            retryAfterMilliseconds: 1000)
    }

    // MARK: What the manifest says

    var clusterAnswer: Response {
        let text = ManifestJSON.encode(manifest)
        let digest = SHA256.hash(data: Array(text.utf8))
        return .json([
            "cluster": .string(manifest.cluster.hex), "digest": .string(Hex.encode(Array(digest))),
            "manifest": .written(text.split(separator: "\n").joined(separator: "\n")),
        ])
    }

    var shardsAnswer: Response {
        let map = manifest.shardMap
        let shards: [WebJSON] = (0..<manifest.shardCount).map { index in
            let shard = ShardID(UInt16(index))
            let group = manifest.group(of: shard)
            return [
                "shard": .number(index),
                "hosts": .array(manifest.hosts(of: shard).map { .number(Int($0.number)) }),
                "faults_tolerated": .number(group.f), "quorum": .number(group.quorum),
                "first_account": .string(AccountID(map.firstAccount(of: shard)).hex),
            ]
        }
        return .json(["count": .number(manifest.shardCount), "shards": .array(shards)])
    }

    var proceduresAnswer: Response {
        .json([
            "procedures": .array(
                procedures.map { name in
                    let at = name.lastIndex(of: "@") ?? name.endIndex
                    return [
                        "name": .string(String(name[..<at])), "version": .number(Int(name[at...].dropFirst()) ?? 1),
                    ]
                })
        ])
    }

    func problem(_ parameter: String) throws -> Response {
        guard let kind = ProblemKind(rawValue: parameter) else {
            throw Problem(.notFound, "there is no problem \(Printable.quoted(parameter.utf8, limit: 60))")
        }
        return .json([
            "type": .string(kind.type), "title": .string(kind.title), "status": .number(kind.status),
            "advice": .string(kind.advice),
        ])
    }
}

extension ShardMap {
    /// The lowest identifier on a shard: all up to the next shard's lowest are there too. The smallest h with
    /// ⌊h · shards / 2⁶⁴⌋ = shard, as the highest bytes.
    func firstAccount(of shard: ShardID) -> UInt128 {
        let count = UInt128(shardCount)
        let first = (UInt128(shard.number) << 64 + count - 1) / count
        return first << 64
    }
}
