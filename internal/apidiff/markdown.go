package apidiff

import (
	"fmt"
	"strings"
)

// Markdown is the changelog for people: a heading a release, the newest first, and a list for each effect.
func (c *Changelog) Markdown() string {
	var out strings.Builder
	out.WriteString("# Changelog of API " + c.Version + "\n")
	c.Unreleased.write(&out, c.Note(&c.Unreleased))
	for i := range c.Releases {
		c.Releases[i].write(&out, c.Note(&c.Releases[i]))
	}
	return out.String()
}

// Note says in a sentence what an entry was compared with.
func (c *Changelog) Note(e *Entry) string {
	switch {
	case e.Release == "" && len(c.Releases) == 0:
		return "There is no release yet, so there is nothing to compare with."
	case e.Since == "":
		return "The first release."
	case len(e.Changes) == 0:
		return "Nothing changed in the API since " + e.Since + "."
	default:
		return "Since " + e.Since + ":"
	}
}

func (e *Entry) write(out *strings.Builder, note string) {
	if e.Release == "" {
		out.WriteString("\n## Unreleased\n\n")
	} else {
		_, _ = fmt.Fprintf(out, "\n## %s (%s)\n\n", e.Release, e.Date)
	}
	out.WriteString(note + "\n")
	for _, part := range []struct {
		effect Effect
		title  string
	}{{Breaking, "Breaks clients"}, {Risky, "May break clients"}, {Compatible, "Breaks nobody"}} {
		title := "\n### " + part.title + "\n\n"
		for _, change := range e.Changes {
			if change.Effect == part.effect {
				out.WriteString(title)
				title = ""
				change.write(out)
			}
		}
	}
}

func (c *Change) write(out *strings.Builder) {
	out.WriteString("- ")
	if len(c.Operations) > 0 {
		quoted := make([]string, len(c.Operations))
		for i, o := range c.Operations {
			quoted[i] = "`" + o + "`"
		}
		out.WriteString(strings.Join(quoted, ", ") + ": ")
	}
	out.WriteString(plain(c.Text) + "\n")
}

// plain keeps what documents say from being read as Markdown or HTML, and on one line. What stands between backquotes is code, and
// stays.
func plain(text string) string {
	parts := strings.Split(strings.Join(strings.Fields(text), " "), "`")
	for i := range parts {
		if isCode := i%2 == 1 && i < len(parts)-1; !isCode {
			parts[i] = escape(parts[i])
		}
	}
	return strings.Join(parts, "`")
}

func escape(text string) string {
	return strings.NewReplacer(
		`\`, `\\`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", `\|`, "#", `\#`,
	).Replace(text)
}
