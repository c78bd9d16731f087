//! Carries plans out and judges them.
