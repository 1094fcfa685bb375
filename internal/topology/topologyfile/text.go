package topologyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxLocatedLines bounds the search for the line that breaks the YAML, which parses the file once a line.
const maxLocatedLines = 1000

// readYAML parses one YAML document. The text must be what protoyaml counts lines in: UTF-8, with lines that end in LF or
// CR LF. (YAML takes CR, NEL, LS and PS for ends of lines too; protoyaml does not, and fails where the counts differ.)
func readYAML(data []byte) (*yaml.Node, *Problem) {
	if len(data) > maxFile {
		return nil, &Problem{
			Line: 1, Column: 1,
			Message: fmt.Sprintf("the file is larger than %d KiB", maxFile>>10),
			Advice:  "give the topology file, which has a few lines for each region",
		}
	}
	if problem := checkText(data); problem != nil {
		return nil, problem
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var node yaml.Node
	switch err := decoder.Decode(&node); {
	case errors.Is(err, io.EOF), err == nil && len(node.Content) == 0, err == nil && isEmpty(node.Content[0]):
		return nil, &Problem{
			Line: 1, Column: 1,
			Message: "the file is empty",
			Advice:  `list at least one region under "regions:"`,
		}
	case err != nil:
		return nil, syntaxProblem(data, err)
	}
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
		return node.Content[0], nil
	case err != nil:
		return nil, syntaxProblem(data, err)
	default:
		return nil, &Problem{
			Line: max(second.Line, 1), Column: max(second.Column, 1),
			Message: "a second YAML document",
			Advice:  `put all regions into the first and take the "---" away`,
		}
	}
}

func isEmpty(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == nullTag }

// checkText refuses bytes that are not UTF-8 and lines that end in what is not LF or CR LF.
func checkText(data []byte) *Problem {
	line, column := 1, 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return &Problem{Line: line, Column: column, Message: "a byte that is not UTF-8", Advice: "save the file as UTF-8"}
		}
		next := byte(0)
		if i+size < len(data) {
			next = data[i+size]
		}
		switch r {
		case '\u0085', '\u2028', '\u2029':
			return badLineEnd(line, column)
		case '\r':
			if next != '\n' {
				return badLineEnd(line, column)
			}
		case '\n':
			line, column = line+1, 0
		}
		i += size
		column++
	}
	return nil
}

func badLineEnd(line, column int) *Problem {
	return &Problem{
		Line: line, Column: column,
		Message: "a line ends in something other than LF or CR LF",
		Advice:  "save the file with Unix line ends",
	}
}

// yamlLine is how the errors of the YAML parser begin.
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxProblem finds where the YAML is broken. The parser names the line of the construct's beginning, or the one before;
// so this looks for the last line up to which the file parses: the next one broke it.
func syntaxProblem(data []byte, err error) *Problem {
	lines := strings.SplitAfter(string(data), "\n")
	if len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	at := 1
	if len(lines) > maxLocatedLines {
		if found := yamlLine.FindStringSubmatch(err.Error()); found[1] != "" {
			_, _ = fmt.Sscan(found[1], &at) // The pattern has digits only; too many of them leave line 1.
			at = min(max(at, 1), len(lines))
		}
	} else {
		end := len(data)
		for at = len(lines); at > 1; at-- {
			end -= len(lines[at-1])
			if parses(data[:end]) {
				break
			}
		}
	}
	line := ""
	if at <= len(lines) {
		line = lines[at-1]
	}
	blank := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	advice := "mend the YAML; indent with spaces, two for each level"
	column := utf8.RuneCountInString(blank) + 1
	if tab := strings.IndexByte(blank, '\t'); tab >= 0 {
		column = tab + 1
		advice = "indent with spaces, not with tabs"
	}
	return &Problem{
		Line: at, Column: column,
		Message: "not YAML: " + yamlLine.ReplaceAllString(err.Error(), ""),
		Advice:  advice,
	}
}

// parses tells whether data is a stream of YAML documents.
func parses(data []byte) bool {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var node yaml.Node
		switch err := decoder.Decode(&node); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return false
		}
	}
}
