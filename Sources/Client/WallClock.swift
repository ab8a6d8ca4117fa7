import Glibc
import Messages

/// The time that clients sign.
public enum WallClock {
    /// This machine's time of day, in microseconds since 1970; zero if it is set earlier. May jump when it is set.
    public static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(UInt64(max(0, time.tv_sec)) * 1_000_000 + UInt64(time.tv_nsec) / 1000)
    }
}
