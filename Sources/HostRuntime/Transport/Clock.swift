import Glibc
import Messages

/// The only place where the runtime reads a clock.
public enum Clock {
    /// Nanoseconds of the monotonic clock.
    public static func uptime() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// The monotonic clock in nanoseconds and the system's time in microseconds since 1970, read one after the other. A
    /// system time before 1970 counts as 1970.
    public static func now() -> Messages.Instant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let wall = UInt64(max(0, time.tv_sec)) * 1_000_000 + UInt64(time.tv_nsec) / 1000
        return Messages.Instant(uptime: uptime(), wall: Timestamp(wall))
    }
}
