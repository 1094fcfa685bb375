// Package documents has tests of the documents of the API that need more than Go: linters, a fuzzer, and clients generated from them, all
// against a running dev. They run with the build tag docs, by test-docs.sh, which installs what they need.
package documents
