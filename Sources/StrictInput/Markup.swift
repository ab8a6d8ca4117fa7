/// Text as it may stand in HTML and SVG.
public enum Markup {
    /// The text with `&`, `<`, `>` and `"` escaped: safe between tags and within a quoted attribute.
    public static func escape(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            default: out.append(character)
            }
        }
        return out
    }
}
