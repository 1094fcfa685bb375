package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// row is one figure of the table. What it has not is empty.
type row struct{ name, figure, beside, ratio, allocs string }

// table is what is printed.
type table struct {
	note string
	rows []row
}

func (t *table) add(r row) { t.rows = append(t.rows, r) }

// section begins a group of rows.
func (t *table) section(title string) { t.rows = append(t.rows, row{name: title}) }

// print writes the table.
func (t *table) print(w io.Writer) error {
	tabs := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(r row) {
		_, _ = fmt.Fprintln(tabs, strings.Join([]string{r.name, r.figure, r.beside, r.ratio, r.allocs}, "\t")) // Flush has the error.
	}
	line(row{"NAME", "FIGURE", "BOUND OR PEER", "RATIO", "ALLOCS"})
	for _, r := range t.rows {
		if r == (row{name: r.name}) {
			line(row{})
			r.name = strings.ToUpper(r.name)
		}
		line(r)
	}
	if err := tabs.Flush(); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", t.note)
	if err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	return nil
}
