import Foundation

/// One HTTP exchange on a connection of its own, written and read byte by byte, so that a test can send what no library
/// would.
struct HTTPExchange: Sendable {
    var status = 0
    /// Names in lower case.
    var headers: [String: String] = [:]
    var body: [UInt8] = []

    var text: String { String(decoding: body, as: UTF8.self) }

    func object() throws -> [String: Any] {
        guard let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any] else {
            throw Tool.Failure(description: "no JSON object: \(text.prefix(300))")
        }
        return object
    }

    /// What a problem's type ends with; nil if it is no problem document.
    var problem: String? {
        guard headers["content-type"] == "application/problem+json", let members = try? object(),
            members["status"] as? Int == status, members["title"] is String, members["detail"] is String,
            let type = members["type"] as? String, type.hasPrefix("/problems/")
        else { return nil }
        return String(type.dropFirst("/problems/".count))
    }

    /// - Parameters:
    ///   - body: sent with its length, unless the headers have one.
    ///   - raw: sent behind it as it is.
    ///   - keeps: does not ask that the connection end.
    static func run(
        _ method: String, _ path: String, port: Int, headers: [String: String] = [:], body: [UInt8]? = nil,
        raw: [UInt8] = [], host: String = "127.0.0.1", keeps: Bool = false
    ) async throws -> HTTPExchange {
        var lines = ["\(method) \(path) HTTP/1.1", "Host: \(host)"]
        if !keeps { lines.append("Connection: close") }
        lines += headers.map { "\($0.key): \($0.value)" }
        if let body, headers["Content-Length"] == nil { lines.append("Content-Length: \(body.count)") }
        let sent = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + (body ?? []) + raw
        // A thread of its own waits: the server answers on those that a test's tasks run on.
        return try await withCheckedThrowingContinuation { continuation in
            Thread { continuation.resume(with: Result { try exchange(sent, port: port) }) }.start()
        }
    }

    private static func exchange(_ sent: [UInt8], port: Int) throws -> HTTPExchange {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { throw Tool.Failure(description: "no socket: \(errno)") }
        defer { close(socket) }
        var patience = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        (address.sin_family, address.sin_port) = (sa_family_t(AF_INET), in_port_t(UInt16(port).bigEndian))
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw Tool.Failure(description: "cannot connect to port \(port): \(errno)") }
        var written = 0
        while written < sent.count {
            let count = sent[written...].withUnsafeBytes {
                send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            // The server may have answered and closed before all was sent.
            guard count > 0 else { break }
            written += count
        }
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            received += buffer[..<count]
        }
        return try parse(received)
    }

    private static func parse(_ bytes: [UInt8]) throws -> HTTPExchange {
        let all = Data(bytes)
        guard let end = all.range(of: Data("\r\n\r\n".utf8)) else {
            throw Tool.Failure(description: "no HTTP answer: \(bytes.count) bytes")
        }
        var lines = String(decoding: all[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        var exchange = HTTPExchange()
        exchange.status = Int(lines.removeFirst().split(separator: " ").dropFirst().first ?? "") ?? 0
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { continue }
            exchange.headers[line[..<colon].lowercased()] =
                line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        let body = Array(all[end.upperBound...])
        exchange.body = exchange.headers["transfer-encoding"] == "chunked" ? joined(body) : body
        return exchange
    }

    /// RFC 9112, 7.1. What an answer that was cut off lacks is missing here too.
    private static func joined(_ chunks: [UInt8]) -> [UInt8] {
        var (body, rest) = ([UInt8](), chunks[...])
        while let end = rest.firstIndex(of: 13),
            let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16), size > 0
        {
            // Carriage return and line feed stand behind the size and behind the chunk.
            body += rest[end...].dropFirst(2).prefix(size)
            rest = rest[end...].dropFirst(4 + size)
        }
        return body
    }
}
