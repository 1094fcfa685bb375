package app

// NewBackend makes the backend that the tests of this package run on. It is set once, before all of them, from outside, because backends import this package.
var NewBackend func(dir string) Backend
