package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	runnerName = "llama-server"
	ready      = "ready"
)

// runner is the child process of a loaded model: found by its name and --port, as a real one is.
type runner struct {
	command *exec.Cmd
	orders  io.WriteCloser
}

func startRunner(model string) (*runner, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	command := exec.Command(self)
	command.Args = []string{runnerName, "--model", model, "--port", strconv.Itoa(port), "--host", "127.0.0.1"}
	command.ExtraFiles = []*os.File{socket} // bound before it starts: no race for the port
	command.Stderr = os.Stderr
	orders, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() { _ = command.Wait() }()
	return &runner{command: command, orders: orders}, nil
}

func (r *runner) busy(change int) { fmt.Fprintln(r.orders, change) }

// ready says that the model is in memory; until then the runner answers 503, as a real one does.
func (r *runner) ready() {
	if r != nil {
		fmt.Fprintln(r.orders, ready)
	}
}

func (r *runner) end() {
	if r != nil {
		_ = r.command.Process.Kill()
	}
}

// runRunner is the child: it learns on its standard input when the model is loaded, and how many requests are in work.
func runRunner(_ []string) {
	listener, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		fail(1, "Error: "+err.Error())
	}
	var processing atomic.Int64
	var isReady atomic.Bool
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			if lines.Text() == ready {
				isReady.Store(true)
				continue
			}
			change, _ := strconv.ParseInt(lines.Text(), 10, 64)
			processing.Add(change)
		}
	}()
	answer := func(path string, handler func(http.ResponseWriter, *http.Request)) {
		http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if isReady.Load() {
				handler(w, r)
			} else {
				reply(w, http.StatusServiceUnavailable, problem("Loading model"))
			}
		})
	}
	answer("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	answer("GET /slots", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, []map[string]any{{"id": 0, "is_processing": processing.Load() > 0}})
	})
	answer("POST /completion", func(w http.ResponseWriter, r *http.Request) {
		if get("STANDIN_HANG_RUNNER") != "" {
			if get("STANDIN_RUNNER_SPINS") != "" {
				go spin(r)
			}
			<-r.Context().Done()
			return
		}
		time.Sleep(time.Millisecond)
		reply(w, http.StatusOK, map[string]any{"content": "x", "stop": true, "tokens_predicted": 1})
	})
	http.HandleFunc("POST /standin/set", set)
	fail(1, "Error: "+http.Serve(listener, nil).Error())
}

// spin computes as long as somebody waits for an answer: a long prompt, or a card that never ends.
func spin(r *http.Request) {
	for r.Context().Err() == nil {
	}
}
