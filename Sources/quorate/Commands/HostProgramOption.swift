import ArgumentParser
import Foundation

/// Which program the hosts are.
struct HostProgramOption: ParsableArguments {
    @Option(
        help: "Start hosts with this program, which was built with the library QuorateHost. Default: quorate itself.")
    var hostProgram: String?

    /// Absolute; nil for this executable.
    func path() throws -> String? {
        guard let hostProgram else { return nil }
        let path = ClusterCommand.absolute(hostProgram)
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw ToolError(.failure, "--host-program: there is no \(path)")
        }
        guard !isFolder.boolValue, FileManager.default.isExecutableFile(atPath: path) else {
            throw ToolError(.failure, "--host-program: \(path) is not an executable file")
        }
        return path
    }
}
