//! What a split is for, told from its name.

/// What a split is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Weights and masks are fitted on it.
    Train,
    /// Choices are made on it.
    Validation,
    /// Figures are reported on it; nothing else may read it.
    Test,
    /// Its name says nothing: the set is not split.
    Whole,
}

impl Role {
    /// The role that a file or folder name tells, by its words: `train-00000-of-00002`, `x_train`, `t10k-images`, `val`.
    pub fn of(name: &str) -> Option<Self> {
        name.to_lowercase().split(|c: char| !c.is_ascii_alphanumeric()).find_map(|word| match word {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "dev" => Some(Self::Validation),
            "test" | "testing" | "eval" | "evaluation" | "t10k" => Some(Self::Test),
            _ => None,
        })
    }

    /// The role's usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
            Self::Whole => "all",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn names_tell_roles_by_whole_words() {
        for (name, role) in [
            ("train-00000-of-00002", Some(Role::Train)),
            ("X_train", Some(Role::Train)),
            ("Training", Some(Role::Train)),
            ("val", Some(Role::Validation)),
            ("dev.set", Some(Role::Validation)),
            ("t10k-images-idx3-ubyte", Some(Role::Test)),
            ("test_images", Some(Role::Test)),
            ("trains", None),
            ("latest", None),
            ("images", None),
        ] {
            assert_eq!(Role::of(name), role, "{name}");
        }
    }
}
