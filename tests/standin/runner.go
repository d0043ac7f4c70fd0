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

const runnerName = "llama-server"

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

func (r *runner) end() {
	if r != nil {
		_ = r.command.Process.Kill()
	}
}

// runRunner is the child: it learns on its standard input how many requests are in work.
func runRunner(_ []string) {
	listener, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		fail(1, "Error: "+err.Error())
	}
	var processing atomic.Int64
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			change, _ := strconv.ParseInt(lines.Text(), 10, 64)
			processing.Add(change)
		}
	}()
	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	http.HandleFunc("GET /slots", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, []map[string]any{{"id": 0, "is_processing": processing.Load() > 0}})
	})
	http.HandleFunc("POST /completion", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Millisecond)
		reply(w, http.StatusOK, map[string]any{"content": "x", "stop": true, "tokens_predicted": 1})
	})
	fail(1, "Error: "+http.Serve(listener, nil).Error())
}
