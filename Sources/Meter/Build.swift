/// What this program is.
public enum Build {
    /// As CHANGELOG.md has it.
    public static let version = "0.1.0"
}
