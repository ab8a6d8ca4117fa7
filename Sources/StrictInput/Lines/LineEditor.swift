/// A line that a person edits, and the lines before it. No terminal: bytes come in as keys (`KeyDecoder`), and `picture`
/// says what to show.
package struct LineEditor: Sendable {
    /// What a key leads to, beyond the line.
    package enum Effect: Equatable, Sendable {
        case none
        case submit(String)
        /// Ctrl-C: the line is empty again.
        case interrupted
        /// Ctrl-D on an empty line.
        case end
        case complete
        case clear
    }

    /// On both sides of the cursor.
    package private(set) var before = ""
    package private(set) var after = ""
    /// Oldest first.
    private let history: [String]
    /// Where in it the user is; its count for the line that is new.
    private var place: Int
    /// The new line, while another one is looked at.
    private var draft = ""
    private var cut = ""
    /// Of a line, in Unicode scalars.
    private static let maxLength = 16_384

    /// - Parameter history: the lines that were submitted before, oldest first.
    package init(history: [String]) {
        self.history = history
        place = history.count
    }

    package var line: String { before + after }

    package mutating func apply(_ key: Key) -> Effect {
        switch key {
        case .text(let scalar):
            if line.unicodeScalars.count < Self.maxLength { before.unicodeScalars.append(scalar) }
        case .enter: return .submit(line)
        case .tab: return .complete
        case .clear: return .clear
        case .interrupt:
            (before, after, place) = ("", "", history.count)
            return .interrupted
        case .endOfInput:
            guard !line.isEmpty else { return .end }
            if !after.isEmpty { after.removeFirst() }
        case .backspace: if !before.isEmpty { before.removeLast() }
        case .delete: if !after.isEmpty { after.removeFirst() }
        case .left: if let last = before.popLast() { after = String(last) + after }
        case .right: if !after.isEmpty { before.append(after.removeFirst()) }
        case .home: (before, after) = ("", line)
        case .end: (before, after) = (line, "")
        case .wordLeft:
            let start = Self.wordStart(before)
            after = String(before[start...]) + after
            before = String(before[..<start])
        case .wordRight:
            let end = Self.wordEnd(after)
            before += after[..<end]
            after = String(after[end...])
        case .cutToEnd: if !after.isEmpty { (cut, after) = (after, "") }
        case .cutToStart: if !before.isEmpty { (cut, before) = (before, "") }
        case .cutWord:
            let start = Self.wordStart(before)
            if start < before.endIndex { cut = String(before[start...]) }
            before = String(before[..<start])
        case .paste: before += cut
        case .up: look(at: place - 1)
        case .down: look(at: place + 1)
        }
        return .none
    }

    /// Puts a word in place of what stands between a place and the cursor.
    /// - Parameter start: characters before that place.
    package mutating func replace(from start: Int, with text: String) { before = before.prefix(start) + text }

    private mutating func look(at new: Int) {
        guard (0...history.count).contains(new), new != place else { return }
        if place == history.count { draft = line }
        place = new
        (before, after) = (new == history.count ? draft : history[new], "")
    }

    /// Of the last word: blanks, and what is before them back to the next blank.
    private static func wordStart(_ text: String) -> String.Index {
        let end = text.lastIndex { $0 != " " }
        guard let end else { return text.startIndex }
        return text[..<end].lastIndex(of: " ").map(text.index(after:)) ?? text.startIndex
    }

    private static func wordEnd(_ text: String) -> String.Index {
        guard let start = text.firstIndex(where: { $0 != " " }) else { return text.endIndex }
        return text[start...].firstIndex(of: " ") ?? text.endIndex
    }
}

extension LineEditor {
    /// What of the line is seen, in one row of a terminal: all of it, or the part around the cursor.
    /// - Parameters:
    ///   - prompt: stands before it.
    ///   - columns: of the terminal.
    /// - Returns: the text, prompt included, and the column of the cursor, from 0.
    package func view(prompt: String, columns: Int) -> (text: String, cursor: Int) {
        let left = Self.cells(before)
        // The last column stays free: some terminals wrap when it is written.
        let room = max(1, columns - 1 - TerminalWidth.of(prompt))
        var first = 0
        var width = left.reduce(0) { $0 + $1.width }
        // Some of what follows the cursor is seen too.
        let margin = after.isEmpty ? 0 : min(8, room / 4)
        while width > room - margin, first < left.count {
            width -= left[first].width
            first += 1
        }
        var text = left[first...].map(\.text).joined()
        var used = width
        for cell in Self.cells(after) {
            guard used + cell.width <= room else { break }
            used += cell.width
            text += cell.text
        }
        return (prompt + text, TerminalWidth.of(prompt) + width)
    }

    /// The same as a terminal takes it: the row is written anew, and the cursor put in its place.
    package func picture(prompt: String, columns: Int) -> String {
        let (text, cursor) = view(prompt: prompt, columns: columns)
        return "\r" + text + "\u{1b}[K\r" + (cursor > 0 ? "\u{1b}[\(cursor)C" : "")
    }

    /// Nothing of it is obeyed by a terminal.
    private static func cells(_ text: String) -> [(text: String, width: Int)] {
        text.map { character in
            let shown = Printable.line(String(character))
            return (shown, TerminalWidth.of(shown))
        }
    }
}

/// How many columns of a terminal a text takes.
package enum TerminalWidth {
    package static func of(_ text: String) -> Int { text.reduce(0) { $0 + of($1) } }

    /// 0, 1 or 2.
    static func of(_ character: Character) -> Int {
        guard let first = character.unicodeScalars.first else { return 0 }
        switch first.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: return 0
        default: break
        }
        // An emoji by its own nature, or by the selector that follows it.
        let isEmoji =
            first.properties.isEmojiPresentation || character.unicodeScalars.contains { $0.value == 0xfe0f }
        return isEmoji || isWide(first.value) ? 2 : 1
    }

    /// The blocks that are wide in East Asian typography (UAX 11: W and F).
    private static func isWide(_ value: UInt32) -> Bool {
        switch value {
        case 0x1100...0x115f, 0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xa000...0xa4cf,
            0xa960...0xa97f, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6,
            0x17000...0x18cff, 0x1b000...0x1b2ff, 0x20000...0x3fffd:
            true
        default: false
        }
    }
}
