/// Text that somebody else has chosen, as it may stand on a terminal, in a log and in an error: nothing in it is
/// obeyed, and nothing in it is invisible. Control characters (and with them ANSI sequences), line breaks, what turns
/// the direction of writing, and what has no shape become escapes.
package enum Printable {
    /// On one line: a line break would forge the line after it.
    package static func line(_ text: String) -> String { escape(text, keepsLines: false, braced) }

    /// The same, where line feeds are our own.
    package static func lines(_ text: String) -> String { escape(text, keepsLines: true, braced) }

    /// In a JSON document that we have written, where only texts hold such characters: the same document in other
    /// words.
    package static func json(_ document: String) -> String {
        escape(document, keepsLines: true) { scalar in
            String(scalar).utf16.map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            }.joined()
        }
    }

    /// In double quotes, at most `limit` bytes of it, whatever bytes they are: `"abc\u{1b}…"`.
    package static func quoted(_ bytes: some Collection<UInt8>, limit: Int = 40) -> String {
        let isCut = bytes.count > limit
        var kept = Array(bytes.prefix(limit))
        // Not in the middle of a character: what is left of it would be shown as damage that is not there.
        if isCut, let start = kept.lastIndex(where: { $0 & 0xc0 != 0x80 }), kept[start] >= 0xc0, kept.count - start < 4
        {
            kept.removeSubrange(start...)
        }
        var text = ""
        var rest = kept[...]
        while !rest.isEmpty {
            if let bad = UTF8Text.firstInvalid(in: rest) {
                text += line(String(decoding: rest[..<bad], as: UTF8.self)) + "\\x" + hex(rest[bad])
                rest = rest[(bad + 1)...]
            } else {
                text += line(String(decoding: rest, as: UTF8.self))
                rest = []
            }
        }
        return "\"\(text)\(isCut ? "…" : "")\""
    }

    private static func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

    private static func braced(_ scalar: Unicode.Scalar) -> String { "\\u{\(String(scalar.value, radix: 16))}" }

    private static func escape(_ text: String, keepsLines: Bool, _ escaped: (Unicode.Scalar) -> String) -> String {
        // Nearly everything that is printed is plain ASCII.
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f || keepsLines && $0 == 0x0a }) { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            let isKept = isPlain(scalar) || keepsLines && scalar == "\n"
            if isKept { result.unicodeScalars.append(scalar) } else { result += escaped(scalar) }
        }
        return result
    }

    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}

package enum UTF8Text {
    /// The place of the first byte that does not belong to well-formed UTF-8 (RFC 3629: shortest forms, no surrogates);
    /// nil if all do.
    package static func firstInvalid(in bytes: ArraySlice<UInt8>) -> Int? {
        var i = bytes.startIndex
        let end = bytes.endIndex
        while i < end {
            let lead = bytes[i]
            if lead < 0x80 {
                i += 1
                continue
            }
            // How many bytes follow, and from where to where the first of them goes.
            let (following, low, high): (Int, UInt8, UInt8)
            switch lead {
            case 0xc2...0xdf: (following, low, high) = (1, 0x80, 0xbf)
            case 0xe0: (following, low, high) = (2, 0xa0, 0xbf)
            case 0xed: (following, low, high) = (2, 0x80, 0x9f)
            case 0xe1...0xef: (following, low, high) = (2, 0x80, 0xbf)
            case 0xf0: (following, low, high) = (3, 0x90, 0xbf)
            case 0xf1...0xf3: (following, low, high) = (3, 0x80, 0xbf)
            case 0xf4: (following, low, high) = (3, 0x80, 0x8f)
            default: return i
            }
            guard i + following < end, (low...high).contains(bytes[i + 1]) else { return i }
            for j in (i + 2)..<max(i + 2, i + following + 1) where bytes[j] & 0xc0 != 0x80 { return i }
            i += following + 1
        }
        return nil
    }
}
