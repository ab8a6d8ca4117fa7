import StrictInput
import Testing

/// Keys from bytes, and what they do to a line.
@Suite struct LineEditorTests {
    private func keys(_ bytes: [UInt8]) -> [Key] {
        var decoder = KeyDecoder()
        return bytes.compactMap { decoder.feed($0) }
    }

    private func keys(_ text: String) -> [Key] { keys(Array(text.utf8)) }

    /// - Returns: the editor after all keys, and the last effect.
    private func typed(_ text: String, history: [String] = []) -> (editor: LineEditor, effect: LineEditor.Effect) {
        var editor = LineEditor(history: history)
        var effect = LineEditor.Effect.none
        for key in keys(text) { effect = editor.apply(key) }
        return (editor, effect)
    }

    @Test(arguments: [
        ("\u{1b}[A", Key.up), ("\u{1b}OB", .down), ("\u{1b}[C", .right), ("\u{1b}[D", .left), ("\u{1b}[H", .home),
        ("\u{1b}[4~", .end), ("\u{1b}[3~", .delete), ("\u{1b}[1;5D", .wordLeft), ("\u{1b}f", .wordRight),
        ("\r", .enter),
        ("\t", .tab), ("\u{7f}", .backspace), ("\u{15}", .cutToStart), ("日", .text("日")), ("😀", .text("😀")),
    ])
    func aSequenceIsOneKey(bytes: String, key: Key) { #expect(keys(bytes) == [key]) }

    @Test func whatMeansNothingIsPassedOver() {
        #expect(keys("\u{1b}[200~a\u{1b}[99;99X\u{1b}b\u{0}b") == [.text("a"), .wordLeft, .text("b")])
        // Half a character, then another one; bytes that begin none; a sequence without end.
        #expect(keys([0xe6, 0x97, 0x61]) == [.text("a")])
        #expect(keys([0xff, 0x80, 0xc0, 0x62]) == [.text("b")])
        #expect(keys([0x1b, 0x5b] + [UInt8](repeating: 0x31, count: 100) + [0x41]).count < 100)
        // Surrogates and control characters of two bytes are no text.
        #expect(keys([0xed, 0xa0, 0x80, 0xc2, 0x9b]) == [])
    }

    @Test(arguments: [
        ("abc\u{1b}[D\u{1b}[DX", "aX", "bc"), ("abc\u{1}X", "X", "abc"), ("abc\u{1}\u{5}X", "abcX", ""),
        ("ab\u{7f}\u{7f}\u{7f}c", "c", ""), ("abc\u{1}\u{1b}[3~", "", "bc"), ("abc\u{1b}[D\u{4}", "ab", ""),
        ("ab cd\u{17}", "ab ", ""), ("ab cd  \u{17}\u{17}", "", ""), ("ab cd\u{1b}[D\u{1b}[D\u{b}", "ab ", ""),
        ("ab cd\u{1b}[D\u{15}", "", "d"), ("ab cd\u{17}\u{1}\u{19}", "cd", "ab "),
        ("ab cd\u{1b}[1;5D", "ab ", "cd"), ("ab cd\u{1}\u{1b}f", "ab", " cd"), ("日本語\u{1b}[D\u{7f}", "日", "語"),
        // A combining mark belongs to the character before it.
        ("e\u{301}x\u{7f}\u{7f}", "", ""), ("👩\u{200d}👧\u{7f}", "", ""),
    ])
    func keysEditTheLine(text: String, before: String, after: String) {
        let editor = typed(text).editor
        #expect(editor.before == before && editor.after == after)
    }

    @Test func linesEndInTheirWays() {
        #expect(typed("a b\u{1b}[D\r").effect == .submit("a b"))
        #expect(typed("a\u{3}").effect == .interrupted && typed("a\u{3}").editor.line.isEmpty)
        #expect(typed("\u{4}").effect == .end && typed("a\u{4}").effect == .none)
        #expect(typed("a\t").effect == .complete && typed("\u{c}").effect == .clear)
    }

    @Test func theHistoryIsGoneThroughAndTheNewLineIsKept() {
        let history = ["one", "two"]
        #expect(typed("new\u{1b}[A", history: history).editor.line == "two")
        #expect(typed("new\u{1b}[A\u{1b}[A\u{1b}[A\u{1b}[A", history: history).editor.line == "one")
        #expect(typed("new\u{1b}[A\u{1b}[A\u{1b}[B\u{1b}[B\u{1b}[B", history: history).editor.line == "new")
        #expect(typed("\u{1b}[B\u{1b}[A\u{1b}[Ax", history: history).editor.line == "onex")
    }

    @Test func aCompletionTakesTheWordsPlace() {
        var editor = typed("transfer al bob\u{1b}[D\u{1b}[D\u{1b}[D\u{1b}[D").editor
        editor.replace(from: 9, with: "alice ")
        #expect(editor.before == "transfer alice " && editor.after == " bob")
    }

    @Test func wideCharactersTakeTwoColumnsAndMarksNone() {
        #expect(TerminalWidth.of("abc") == 3 && TerminalWidth.of("日本") == 4 && TerminalWidth.of("한글") == 4)
        #expect(TerminalWidth.of("e\u{301}") == 1 && TerminalWidth.of("😀") == 2 && TerminalWidth.of("ﾊ") == 1)
        let view = typed("日本x\u{1b}[D").editor.view(prompt: "> ", columns: 80)
        #expect(view.text == "> 日本x" && view.cursor == 6)
    }

    @Test(arguments: [10, 20, 40]) func aLongLineIsSeenAroundTheCursor(columns: Int) {
        let text = String(repeating: "日a", count: 100)
        for moves in [0, 1, 50, 150, 200] {
            let editor = typed(text + String(repeating: "\u{1b}[D", count: moves)).editor
            let view = editor.view(prompt: "> ", columns: columns)
            #expect(TerminalWidth.of(view.text) < columns && view.cursor < columns && view.text.hasPrefix("> "))
        }
    }

    @Test func nothingThatIsTypedIsObeyedByTheTerminal() {
        let picture = typed("a\u{202e}b").editor.picture(prompt: "> ", columns: 80)
        #expect(!picture.unicodeScalars.contains("\u{202e}") && picture.contains("\\u{202e}"))
    }
}
