package app

// NewBackend makes the backend that the tests of this package run on. It is set from outside, because backends import this package.
var NewBackend func(dir string) Backend //nolint:gochecknoglobals // set once, before all tests
