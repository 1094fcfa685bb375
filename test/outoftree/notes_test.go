package main

import (
	"errors"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/domiciletest"
	tenancyv1 "github.com/domicile-api/domicile/gen/domicile/tenancy/v1"

	notesv1 "example.org/ledger/gen/ledger/notes/v1"
	"example.org/ledger/gen/ledger/notes/v1/notesv1connect"
	"example.org/ledger/services/notes"
)

func TestNotes(t *testing.T) {
	platform := domiciletest.Start(t, domiciletest.Config{Services: []domicile.Service{notes.Service()}})
	key := platform.CreateTenant(t, &tenancyv1.Tenant{
		Id: "firm", Home: "eu-central-1", Standby: "none",
		Transit: tenancyv1.Transit_TRANSIT_FORWARD, Projections: tenancyv1.Projections_PROJECTIONS_EVERYWHERE,
	})

	// The call comes in at Virginia and is answered at home, in Frankfurt.
	client := notesv1connect.NewNotesServiceClient(http.DefaultClient, platform.Endpoint("us-east-1"), domiciletest.Bearer(key))
	ctx := t.Context()
	created, err := client.CreateNote(ctx, &notesv1.CreateNoteRequest{Note: &notesv1.Note{Text: "call back", Pinned: true}})
	if err != nil {
		t.Fatal(err)
	}
	id := created.GetNote().GetId()
	got, err := client.GetNote(ctx, &notesv1.GetNoteRequest{Id: id})
	if err != nil || got.GetNote().GetText() != "call back" {
		t.Fatalf("%v, %v", got, err)
	}
	summary, err := client.GetNoteSummary(ctx, &notesv1.GetNoteSummaryRequest{Id: id})
	if err != nil || !summary.GetSummary().GetPinned() {
		t.Fatalf("%v, %v", summary, err)
	}
	updated, err := client.UpdateNote(ctx, &notesv1.UpdateNoteRequest{Id: id, Note: &notesv1.Note{CaseNumber: "C-1"}})
	if err != nil || updated.GetNote().GetText() != "call back" || updated.GetNote().GetCaseNumber() != "C-1" {
		t.Fatalf("%v, %v", updated, err)
	}
	listed, err := client.ListNotes(ctx, &notesv1.ListNotesRequest{})
	if err != nil || len(listed.GetNotes()) != 1 {
		t.Fatalf("%v, %v", listed, err)
	}
	if _, err := client.DeleteNote(ctx, &notesv1.DeleteNoteRequest{Id: id, Etag: updated.GetNote().GetEtag()}); err != nil {
		t.Fatal(err)
	}
	var gone *connect.Error
	if _, err := client.GetNote(ctx, &notesv1.GetNoteRequest{Id: id}); !errors.As(err, &gone) || gone.Code() != connect.CodeNotFound {
		t.Fatalf("a deleted note: %v", err)
	}
}
