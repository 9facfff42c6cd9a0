//! A part of an interval's time.

/// How much of an interval something lasted: at least nothing, at most all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    ms: i64,
    of_ms: i64,
}

impl Share {
    pub const NONE: Self = Self { ms: 0, of_ms: 1 };
    pub const WHOLE: Self = Self { ms: 1, of_ms: 1 };

    /// `ms` of an interval of `of_ms`, which is longer than nothing.
    pub fn new(ms: i64, of_ms: i64) -> Self {
        assert!(of_ms > 0, "an interval lasts");
        Self { ms: ms.clamp(0, of_ms), of_ms }
    }

    pub const fn is_none(self) -> bool {
        self.ms == 0
    }

    pub(super) const fn ms(self) -> i64 {
        self.ms
    }

    pub(super) const fn of_ms(self) -> i64 {
        self.of_ms
    }
}
