/// What a person has pressed.
package enum Key: Equatable, Sendable {
    case text(Unicode.Scalar)
    case enter, tab, backspace, delete
    case left, right, wordLeft, wordRight, home, end, up, down
    /// Ctrl-K, Ctrl-U, Ctrl-W, Ctrl-Y.
    case cutToEnd, cutToStart, cutWord, paste
    /// Ctrl-C, Ctrl-D, Ctrl-L.
    case interrupt, endOfInput, clear
}

/// Keys from the bytes that a terminal sends (ECMA-48 sequences as xterm and its kin send them, UTF-8).
package struct KeyDecoder: Sendable {
    private enum State {
        case ground, escape
        /// `ESC O`, of which one byte follows.
        case singleShift
        /// `ESC [`, with its parameters so far.
        case control([UInt8])
        /// The first bytes of a character.
        case character([UInt8], missing: Int)
    }

    private var state = State.ground
    /// Of a sequence that we know nothing of; what is longer is no sequence.
    private static let maxParameters = 16

    package init() {}

    /// - Returns: nil while more bytes must come, and for what means nothing here.
    package mutating func feed(_ byte: UInt8) -> Key? {
        switch state {
        case .ground: return ground(byte)
        case .escape:
            state = .ground
            switch byte {
            case UInt8(ascii: "["): state = .control([])
            case UInt8(ascii: "O"): state = .singleShift
            case UInt8(ascii: "b"): return .wordLeft
            case UInt8(ascii: "f"): return .wordRight
            case 0x7f, 0x08: return .cutWord
            // An escape that was pressed alone.
            case 0x1b: state = .escape
            default: break
            }
            return nil
        case .singleShift:
            state = .ground
            return Self.final(byte, [])
        case .control(let parameters):
            if (0x40...0x7e).contains(byte) {
                state = .ground
                return Self.final(byte, parameters)
            }
            guard (0x20...0x3f).contains(byte), parameters.count < Self.maxParameters else {
                state = .ground
                return ground(byte)
            }
            state = .control(parameters + [byte])
            return nil
        case .character(let bytes, let missing):
            guard byte & 0xc0 == 0x80 else {
                state = .ground
                return ground(byte)
            }
            let all = bytes + [byte]
            guard missing == 1 else {
                state = .character(all, missing: missing - 1)
                return nil
            }
            state = .ground
            guard let scalar = String(validating: all, as: UTF8.self)?.unicodeScalars.first,
                scalar.properties.generalCategory != .control
            else { return nil }
            return .text(scalar)
        }
    }

    private mutating func ground(_ byte: UInt8) -> Key? {
        switch byte {
        case 0x01: return .home
        case 0x02: return .left
        case 0x03: return .interrupt
        case 0x04: return .endOfInput
        case 0x05: return .end
        case 0x06: return .right
        case 0x08, 0x7f: return .backspace
        case 0x09: return .tab
        case 0x0a, 0x0d: return .enter
        case 0x0b: return .cutToEnd
        case 0x0c: return .clear
        case 0x0e: return .down
        case 0x10: return .up
        case 0x15: return .cutToStart
        case 0x17: return .cutWord
        case 0x19: return .paste
        case 0x1b:
            state = .escape
            return nil
        case 0x20..<0x7f: return .text(Unicode.Scalar(byte))
        case 0xc2...0xdf: state = .character([byte], missing: 1)
        case 0xe0...0xef: state = .character([byte], missing: 2)
        case 0xf0...0xf4: state = .character([byte], missing: 3)
        default: break
        }
        return nil
    }

    private static func final(_ byte: UInt8, _ parameters: [UInt8]) -> Key? {
        let numbers = String(decoding: parameters, as: UTF8.self).split(separator: ";").map { Int($0) ?? 0 }
        // `1;5D` is Ctrl with the cursor key, `1;3D` Alt.
        let isWord = numbers.count > 1 && [3, 5].contains(numbers[1])
        switch byte {
        case UInt8(ascii: "A"): return .up
        case UInt8(ascii: "B"): return .down
        case UInt8(ascii: "C"): return isWord ? .wordRight : .right
        case UInt8(ascii: "D"): return isWord ? .wordLeft : .left
        case UInt8(ascii: "H"): return .home
        case UInt8(ascii: "F"): return .end
        case UInt8(ascii: "~"):
            switch numbers.first {
            case 1, 7: return .home
            case 4, 8: return .end
            case 3: return .delete
            default: return nil
            }
        default: return nil
        }
    }
}
