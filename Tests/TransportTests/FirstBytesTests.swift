import Testing
import Transport

@Suite struct FirstBytesTests {
    /// A record of 512 bytes with a ClientHello of 508.
    private static let hello: [UInt8] = [22, 3, 1, 2, 0, 1, 0, 1, 252]

    @Test func whatAConnectionBeginsWithIsKnown() {
        #expect(FirstBytes(Self.hello + [3, 3]) == .tls)
        #expect(FirstBytes("GET / HTTP/1.1\r\n".utf8) == .http)
        #expect(FirstBytes("POST /api".utf8) == .http)
        #expect(FirstBytes("".utf8) == .other && FirstBytes("GE".utf8) == .other)
        // Lengths that do not fit together, and no hello.
        #expect(FirstBytes([22, 3, 1, 2, 0, 1, 0, 0, 8]) == .other)
        #expect(FirstBytes([22, 3, 1, 2, 0, 2, 0, 1, 252]) == .other)
        #expect(FirstBytes(Self.hello.prefix(8)) == .other)
        // Frames of ours begin with their length, little-endian.
        #expect(FirstBytes([22, 3, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]) == .other)
    }

    @Test func anAlertIsKnown() {
        #expect(FirstBytes.isAlert(FirstBytes.alert))
        #expect(!FirstBytes.isAlert(FirstBytes.alert.prefix(4)) && !FirstBytes.isAlert(Self.hello))
    }
}
