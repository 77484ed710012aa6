/* Run on two ranks, a server and a worker: the worker puts a task into the queue, gets it back and prints it. */
#include <stdio.h>

#include <mpi.h>

#include <adlb.h>

int main(int argc, char** argv)
{
  int types[] = {0};
  int server;
  MPI_Comm workers;

  MPI_Init(&argc, &argv);
  if (ADLB_Init(1, 1, types, &server, MPI_COMM_WORLD, &workers) != ADLB_SUCCESS)
    return 1;
  if (server) {
    if (ADLB_Server(1024 * 1024) != ADLB_SUCCESS)
      return 1;
  } else {
    int task = 17, room = 0, answer, type;
    int length = sizeof(room);
    void* payload = &room;
    MPI_Comm communicator;
    if (ADLB_Put(&task, sizeof(task), ADLB_RANK_ANY, -1, 0, ADLB_DEFAULT_PUT_OPTS) != ADLB_SUCCESS)
      return 1;
    if (ADLB_Get(0, &payload, &length, sizeof(room), &answer, &type, &communicator) != ADLB_SUCCESS)
      return 1;
    printf("got %d\n", *(int*)payload);
  }
  ADLB_Finalize();
  MPI_Finalize();
  return 0;
}
