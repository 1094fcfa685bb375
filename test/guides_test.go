package test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// fileBlock is a fenced block that is, or continues, the file that the comment before it names; insertBlock one whose lines stand in a
// file below the line that has a text.
var (
	fileBlock   = regexp.MustCompile("(?ms)^<!-- file: (\\S+) -->\n```[a-z]+\n(.*?)^```$")
	insertBlock = regexp.MustCompile("(?ms)^<!-- insert: (\\S+) after (.*?) -->\n```[a-z]+\n(.*?)^```$")
)

// insertion is lines that a guide has one add to a file.
type insertion struct{ file, after, lines string }

// files returns what a guide makes, by path, and what it adds to files that are there.
func files(t *testing.T, guide string) (made map[string]string, added []insertion) {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	made = map[string]string{}
	for _, m := range fileBlock.FindAllStringSubmatch(string(text), -1) {
		if before := made[m[1]]; before != "" {
			made[m[1]] = before + "\n"
		}
		made[m[1]] += m[2]
	}
	for _, m := range insertBlock.FindAllStringSubmatch(string(text), -1) {
		added = append(added, insertion{m[1], m[2], m[3]})
	}
	return made, added
}

// into returns a text with the lines put below the line, or the field with its options, that has what they are to follow.
func (i insertion) into(t *testing.T, text string) string {
	t.Helper()
	head, tail, found := strings.Cut(text, i.after)
	if !found {
		t.Fatalf("%s has no %q", i.file, i.after)
	}
	end := strings.IndexByte(tail, '\n') + 1
	if strings.HasSuffix(tail[:end], "[\n") {
		end = strings.Index(tail, "];\n") + len("];\n")
	}
	return head + i.after + tail[:end] + i.lines + tail[end:]
}
