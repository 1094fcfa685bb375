// Ledger is a product built on Domicile.
package main

import (
	"github.com/domicile-api/domicile/run"

	"example.org/ledger/services/notes"
)

func main() { run.Main(notes.Service()) }
