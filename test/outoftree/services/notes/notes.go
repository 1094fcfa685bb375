// Package notes is NotesService: the notes of a tenant.
package notes

import (
	"context"
	"net/http"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/entity"
	"google.golang.org/protobuf/proto"

	notesv1 "example.org/ledger/gen/ledger/notes/v1"
	"example.org/ledger/gen/ledger/notes/v1/notesv1connect"
)

// Service returns the service, to be listed in main.
func Service() domicile.Service {
	return domicile.Service{
		Name:     "notes",
		Entities: []proto.Message{(*notesv1.Note)(nil)},
		Register: func(rt domicile.Runtime) (string, http.Handler, error) {
			notes, err := entity.New[*notesv1.Note](rt.Entities)
			if err != nil {
				return "", nil, err
			}
			path, handler := notesv1connect.NewNotesServiceHandler(&server{notes: notes}, rt.HandlerOptions...)
			return path, handler, nil
		},
	}
}

type server struct {
	notes *entity.Repository[*notesv1.Note]
}

func (s *server) CreateNote(ctx context.Context, req *notesv1.CreateNoteRequest) (*notesv1.CreateNoteResponse, error) {
	return entity.Create(ctx, s.notes, req.GetNote(), func(n *notesv1.Note) *notesv1.CreateNoteResponse {
		return &notesv1.CreateNoteResponse{Note: n}
	})
}

func (s *server) GetNote(ctx context.Context, req *notesv1.GetNoteRequest) (*notesv1.GetNoteResponse, error) {
	note, err := s.notes.Get(ctx, req.GetId())
	if err != nil {
		return nil, err
	}
	return &notesv1.GetNoteResponse{Note: note}, nil
}

func (s *server) ListNotes(ctx context.Context, req *notesv1.ListNotesRequest) (*notesv1.ListNotesResponse, error) {
	notes, next, err := s.notes.List(ctx, entity.Page{Size: req.GetPageSize(), Token: req.GetPageToken()})
	if err != nil {
		return nil, err
	}
	return &notesv1.ListNotesResponse{Notes: notes, NextPageToken: next}, nil
}

func (s *server) UpdateNote(ctx context.Context, req *notesv1.UpdateNoteRequest) (*notesv1.UpdateNoteResponse, error) {
	change := entity.Change[*notesv1.Note]{
		Etag:  req.GetNote().GetEtag(),
		Field: "note",
		Apply: func(n *notesv1.Note) error { return entity.ApplyMask(n, req.GetNote(), req.GetUpdateMask()) },
	}
	return entity.Update(ctx, s.notes, req.GetId(), change, func(n *notesv1.Note) *notesv1.UpdateNoteResponse {
		return &notesv1.UpdateNoteResponse{Note: n}
	})
}

func (s *server) DeleteNote(ctx context.Context, req *notesv1.DeleteNoteRequest) (*notesv1.DeleteNoteResponse, error) {
	return entity.Delete(ctx, s.notes, req.GetId(), req.GetEtag(), func(*notesv1.Note) *notesv1.DeleteNoteResponse {
		return &notesv1.DeleteNoteResponse{}
	})
}

func (s *server) GetNoteSummary(ctx context.Context, req *notesv1.GetNoteSummaryRequest) (*notesv1.GetNoteSummaryResponse, error) {
	summary, err := entity.GetProjection[*notesv1.NoteSummary](ctx, s.notes, req.GetId())
	if err != nil {
		return nil, err
	}
	return &notesv1.GetNoteSummaryResponse{Summary: summary}, nil
}
