package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// table is rows of cells under a header.
type table struct {
	header []string
	rows   [][]string
}

// show prints a result as JSON (the message as it is) or as a table.
func show(cmd *cobra.Command, m proto.Message, t table) error {
	out, err := cmd.Flags().GetString("output")
	if err != nil {
		return fmt.Errorf("reading flag output: %w", err)
	}
	if out == "json" {
		return writeJSON(cmd.OutOrStdout(), m)
	}
	return t.write(cmd.OutOrStdout())
}

// writeJSON prints a message with two spaces of indentation. protojson varies its spaces on purpose, so the standard encoder
// lays the text out.
func writeJSON(w io.Writer, m proto.Message) error {
	raw, err := protojson.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(json.RawMessage(raw)); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

// printable keeps what documents and servers say from steering the terminal. Lines stay lines.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || !unicode.IsControl(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

func (t table) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			if i > 0 {
				if _, err := io.WriteString(tw, "\t"); err != nil {
					return fmt.Errorf("writing a table: %w", err)
				}
			}
			if _, err := io.WriteString(tw, printable(cell)); err != nil {
				return fmt.Errorf("writing a table: %w", err)
			}
		}
		if _, err := io.WriteString(tw, "\n"); err != nil {
			return fmt.Errorf("writing a table: %w", err)
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("writing a table: %w", err)
	}
	return nil
}
