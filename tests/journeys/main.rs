//! What a person does with Tollgate, through the real binary.
