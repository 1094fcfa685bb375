// Package docs tests what developers see, with programs that Go does not bring along: run it by test-docs.sh, which installs them.
package docs
