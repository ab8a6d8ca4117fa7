/// Files that are often given where CSV is wanted, known by their first bytes.
struct ForeignFormat {
    /// `a zip archive`
    let name: String
    let advice: String

    /// So many bytes tell all of them.
    static let headLength = 512

    /// - Parameter head: the first bytes, `headLength` of them if there are as many.
    /// - Returns: nil for what may be text.
    static func recognise(_ head: [UInt8]) -> ForeignFormat? {
        if let encoding = encoding(head) {
            return ForeignFormat(
                name: "text in \(encoding)", advice: "convert it to UTF-8: iconv -f \(encoding) -t UTF-8")
        }
        if let known = signatures.first(where: { head.starts(with: $0.bytes) }) { return known.format }
        if head.count > 261, head[257..<262].elementsEqual("ustar".utf8) {
            return ForeignFormat(name: "a tar archive", advice: "unpack it with tar -xf and give the file inside")
        }
        let text = head.drop { $0 == 0x20 || (0x09...0x0d).contains($0) }
        if text.first == UInt8(ascii: "<") {
            return ForeignFormat(name: "HTML or XML", advice: "what was downloaded is a page and not the file itself")
        }
        if let first = text.first, first == UInt8(ascii: "{") || first == UInt8(ascii: "[") {
            return ForeignFormat(name: "JSON", advice: "export it as CSV")
        }
        return nil
    }

    /// UTF-16 and UTF-32, by their mark or by the zeros beside the ASCII letters of the header.
    private static func encoding(_ head: [UInt8]) -> String? {
        if head.starts(with: [0xff, 0xfe, 0, 0]) { return "UTF-32LE" }
        if head.starts(with: [0, 0, 0xfe, 0xff]) { return "UTF-32BE" }
        if head.starts(with: [0xff, 0xfe]) { return "UTF-16LE" }
        if head.starts(with: [0xfe, 0xff]) { return "UTF-16BE" }
        guard head.count >= 8 else { return nil }
        let zeros = head[..<8].map { $0 == 0 }
        switch zeros {
        case [false, true, false, true, false, true, false, true]: return "UTF-16LE"
        case [true, false, true, false, true, false, true, false]: return "UTF-16BE"
        case [false, true, true, true, false, true, true, true]: return "UTF-32LE"
        case [true, true, true, false, true, true, true, false]: return "UTF-32BE"
        default: return nil
        }
    }

    private static let signatures: [(bytes: [UInt8], format: ForeignFormat)] = [
        (
            Array("PK\u{3}\u{4}".utf8),
            .init(
                name: "a zip archive",
                advice: "unpack it with unzip; a spreadsheet (.xlsx, .ods) must be exported as CSV")
        ),
        (Array("PK\u{5}\u{6}".utf8), .init(name: "an empty zip archive", advice: "there is nothing in it")),
        ([0x1f, 0x8b], .init(name: "gzip data inside gzip data", advice: "decompress it once with gzip -d")),
        ([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], .init(name: "xz data", advice: "decompress it with xz -d")),
        ([0x28, 0xb5, 0x2f, 0xfd], .init(name: "zstd data", advice: "decompress it with zstd -d")),
        (Array("BZh".utf8), .init(name: "bzip2 data", advice: "decompress it with bzip2 -d")),
        ([0x04, 0x22, 0x4d, 0x18], .init(name: "lz4 data", advice: "decompress it with lz4 -d")),
        ([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], .init(name: "a 7z archive", advice: "unpack it with 7z x")),
        (Array("Rar!".utf8), .init(name: "a RAR archive", advice: "unpack it")),
        ([0x1f, 0x9d], .init(name: "compress (.Z) data", advice: "decompress it with gzip -d")),
        (Array("%PDF".utf8), .init(name: "a PDF", advice: "get the data that it was made from, as CSV")),
        ([0xd0, 0xcf, 0x11, 0xe0], .init(name: "an old Office file", advice: "export it as CSV")),
        (Array("PAR1".utf8), .init(name: "a Parquet file", advice: "export it as CSV")),
        (Array("SQLite format 3\u{0}".utf8), .init(name: "an SQLite database", advice: "export the table as CSV")),
        ([0x7f, 0x45, 0x4c, 0x46], .init(name: "a program", advice: "give a file of transfers")),
    ]
}
