import Foundation
import HostRuntime
import Logging
import Web

/// A process that runs until it is told to stop: hosts and gateways.
package enum Service {
    /// Starts something, waits, stops it. A failure goes to the log and into the exit code.
    /// - Parameters:
    ///   - label: who speaks in the log.
    ///   - metadata: of every line of the log.
    ///   - settings: what is said of the log.
    ///   - exitOnEOF: the end of standard input, which is a pipe of the parent, is a reason to stop.
    ///   - heedsHangup: whether SIGHUP is a reason to stop.
    ///   - start: gives what stops it again.
    /// - Returns: 0, or an `ExitReason`.
    package static func run(
        _ label: String, metadata: Logger.Metadata = [:], settings: ServiceSettings, exitOnEOF: Bool,
        heedsHangup: Bool = true,
        start: (Logger) async throws -> @Sendable () async -> Void
    ) async -> Int32 {
        let output = LogOutput.standardError
        (output.level, output.format) = (settings.logLevel, settings.logFormat)
        var logger = LineLogHandler.logger(label, to: output)
        for (key, value) in metadata { logger[metadataKey: key] = value }
        let levels = LevelSignals(output, logger: logger)
        defer { withExtendedLifetime(levels) {} }
        raiseDescriptorLimit()
        // A limit for files is an error of a write, as a full disk is, and no reason to die.
        signal(SIGXFSZ, SIG_IGN)
        do {
            let stop = try await start(logger)
            if exitOnEOF { stopAtEnd(of: STDIN_FILENO) }
            let reason = await StopSignal.wait(heedsHangup: heedsHangup)
            logger.info("stopping: \(reason)")
            await stop()
            return 0
        } catch {
            let failure = ProgramError(starting: error)
            logger.critical("cannot start: \(failure.description)")
            return failure.reason.rawValue
        }
    }

    /// HTTP beside what runs.
    /// - Parameters:
    ///   - options: nil for none.
    ///   - portFile: into which the port is written.
    package static func serve(
        _ parts: [any WebPart], at options: WebOptions?, portFile: String?, logger: Logger
    ) async throws -> WebServer? {
        guard let options else { return nil }
        let server = try await WebServer.start(parts, options: options, logger: logger)
        do {
            if let portFile {
                try Data("\(server.port)\n".utf8).write(to: URL(fileURLWithPath: portFile), options: .atomic)
            }
        } catch {
            await server.stop()
            throw error
        }
        return server
    }

    /// As far as it may: the usual limit, 1,024, is as many as a gateway has clients.
    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        let descriptors = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(descriptors, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = min(limit.rlim_max, 65_536)
        _ = setrlimit(descriptors, &limit)
    }

    /// A thread of its own waits: a blocking read needs no event source, and ends with the process.
    private static func stopAtEnd(of descriptor: Int32) {
        let thread = Thread {
            waitForEnd(of: descriptor)
            // One that comes just before somebody listens is ignored.
            while true {
                kill(getpid(), SIGTERM)
                sleep(1)
            }
        }
        thread.stackSize = 1 << 16
        thread.start()
    }

    /// Reads to the end, whatever comes.
    package static func waitForEnd(of descriptor: Int32) {
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &bytes, bytes.count)
            if count > 0 || (count < 0 && errno == EINTR) { continue }
            return
        }
    }
}
