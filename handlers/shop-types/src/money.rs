//! An amount of money.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Whole minor units (cents, pence, yen) of one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units; at most [`Money::AMOUNT_MAX`].
    pub amount: u64,
    /// Three upper-case letters (ISO 4217), such as `EUR`.
    pub currency: String,
}

/// Why something is not an amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyError {
    /// The currency is not three upper-case letters.
    Currency,
    /// The amount is beyond [`Money::AMOUNT_MAX`].
    Amount,
}

impl Money {
    /// The largest whole number that every reader of JSON takes exactly: 2^53 − 1.
    pub const AMOUNT_MAX: u64 = 9_007_199_254_740_991;

    /// # Errors
    /// When the currency is none, or the amount too large.
    pub fn new(amount: u64, currency: &str) -> Result<Self, MoneyError> {
        if currency.len() != 3 || !currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
            return Err(MoneyError::Currency);
        }
        if amount > Self::AMOUNT_MAX {
            return Err(MoneyError::Amount);
        }
        Ok(Self {
            amount,
            currency: currency.to_owned(),
        })
    }
}

/// As in `12.34 EUR`; two decimals whatever the currency has.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:02} {}",
            self.amount / 100,
            self.amount % 100,
            self.currency
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_three_letters_and_an_exact_amount() {
        assert_eq!(
            Money::new(1234, "EUR").map(|money| money.to_string()),
            Ok("12.34 EUR".to_owned())
        );
        assert_eq!(
            Money::new(5, "EUR").map(|money| money.to_string()),
            Ok("0.05 EUR".to_owned())
        );
        for currency in ["", "EU", "EURO", "eur", "E1R", "ÄÖ"] {
            assert_eq!(
                Money::new(1, currency),
                Err(MoneyError::Currency),
                "{currency}"
            );
        }
        assert_eq!(
            Money::new(Money::AMOUNT_MAX + 1, "EUR"),
            Err(MoneyError::Amount)
        );
    }
}
