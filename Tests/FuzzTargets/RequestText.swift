import Messages

/// A signed request as JSON, as a client writes it (docs/HTTP.md).
enum RequestText {
    static func json(_ signed: SignedRequest) -> String {
        let request = signed.request
        let follows = request.follows.map {
            "{\"shard\": \($0.shard.number), \"number\": \"\($0.number.number)\", \"deadline\": \"\($0.deadline.number)\"}"
        }
        let fields = [
            "\"cluster\": \"\(request.cluster.hex)\"", "\"epoch\": \(request.epoch.number)",
            "\"principal\": \"\(request.principal.hex)\"", "\"number\": \"\(request.number.number)\"",
            "\"acknowledged_below\": \"\(request.acknowledgedBelow.number)\"",
            "\"issued_at\": \"\(request.issuedAt.number)\"", "\"deadline\": \"\(request.deadline.number)\"",
            "\"mode\": \"\(request.mode == .atomic ? "atomic" : "independent")\"",
            "\"operations\": [\(request.operations.map(operation).joined(separator: ", "))]",
        ]
        let last = follows.isEmpty ? [] : ["\"follows\": [\(follows.joined(separator: ", "))]"]
        return "{\"request\": {\((fields + last).joined(separator: ", "))}, "
            + "\"signature\": \"\(Hex.encode(signed.signature.bytes))\"}"
    }

    private static func operation(_ operation: Operation) -> String {
        switch operation {
        case .transfer(let transfer):
            "{\"kind\": \"transfer\", \"from\": \"\(transfer.from.hex)\", \"to\": \"\(transfer.to.hex)\", "
                + "\"asset\": \(transfer.asset.number), \"amount\": \"\(transfer.amount.number)\"}"
        case .open(let account):
            "{\"kind\": \"open\", \"owner\": \"\(account.owner.hex)\", \"asset\": \(account.asset.number), "
                + "\"index\": \"\(account.index)\"}"
        case .issue(let to, let asset, let amount):
            "{\"kind\": \"issue\", \"to\": \"\(to.hex)\", \"asset\": \(asset.number), \"amount\": \"\(amount.number)\"}"
        case .read(let account): "{\"kind\": \"read\", \"account\": \"\(account.hex)\"}"
        case .freeze(let account, let freeze):
            "{\"kind\": \"freeze\", \"account\": \"\(account.hex)\", "
                + "\"direction\": \"\(freeze.direction)\", \"reason\": \(freeze.reason)}"
        case .release(let account): "{\"kind\": \"release\", \"account\": \"\(account.hex)\"}"
        case .call(let call, let continues):
            "{\"kind\": \"call\", \"target\": {\(target(call.target))}, \"procedure\": \(quoted(call.procedure)), "
                + "\"version\": \(call.version), \"arguments\": \"\(Hex.encode(call.arguments))\""
                + (continues.map { ", \"continues\": \"\($0.number)\"" } ?? "") + "}"
        }
    }

    private static func target(_ target: CallTarget) -> String {
        switch target {
        case .account(let account): "\"account\": \"\(account.hex)\""
        case .key(let key): "\"key\": \"\(Hex.encode(key))\""
        }
    }

    private static func quoted(_ text: String) -> String {
        var out = "\""
        for unit in text.utf16 {
            let hex = String(unit, radix: 16)
            out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
        }
        return out + "\""
    }
}
