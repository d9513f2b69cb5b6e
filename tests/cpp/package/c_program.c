/* The C interface: c_program step.ravine out.ravine trains, predicts, saves and loads; what is wrong is told.
 */
#include <math.h>
#include <ravine/c.h>
#include <stdio.h>
#include <string.h>

static int failed(const char* what) {
  printf("%s: %s\n", what, ravine_last_error());
  return 1;
}

int main(int argc, char** argv) {
  static float x[50 * 64];
  static int64_t y[50];
  static float logits[50 * 10];
  const int64_t x_shape[] = {50, 64}, y_shape[] = {50}, bad_shape[] = {64, 50};
  const ravine_tensor batch[] = {{x, x_shape, 2, RAVINE_FLOAT32}, {y, y_shape, 1, RAVINE_INT64}};
  const ravine_tensor bad = {x, bad_shape, 2, RAVINE_FLOAT32};
  void* outputs[] = {logits};
  const size_t sizes[] = {sizeof(logits)};
  double loss = NAN;
  int i;
  if (argc != 3) return 2;
  for (i = 0; i < 50 * 64; ++i) x[i] = 0.5f;
  for (i = 0; i < 50; ++i) y[i] = 3;

  ravine_step* step = ravine_step_load(argv[1]);
  if (step == NULL) return failed("load");
  for (i = 0; i < 5; ++i) {
    if (ravine_step_train(step, batch, 2, &loss) != 0) return failed("train");
    printf("%.9g\n", loss);
  }
  ravine_model* model = ravine_step_model(step);
  if (model == NULL) return failed("model");
  ravine_arrays* arrays = ravine_model_predict(model, batch, 1);
  if (arrays == NULL) return failed("predict");
  const ravine_tensor first = ravine_arrays_get(arrays, 0);
  if (ravine_arrays_count(arrays) != 1 || first.rank != 2 || first.shape[1] != 10 ||
      first.dtype != RAVINE_FLOAT32 || ravine_arrays_get(arrays, 1).data != NULL)
    return failed("outputs");
  printf("%.9g\n", ((const float*)first.data)[0]);
  if (ravine_model_predict_into(model, batch, 1, outputs, sizes, 1) != 0) return failed("predict_into");
  if (memcmp(logits, first.data, sizeof(logits)) != 0) return failed("other bits");
  if (ravine_step_save(step, argv[2]) != 0) return failed("save");

  /* What is wrong is told, and nothing is freed twice. */
  if (ravine_model_predict(model, &bad, 1) != NULL || strstr(ravine_last_error(), "64, 50") == NULL)
    return failed("a bad shape");
  if (ravine_model_predict(NULL, batch, 1) != NULL || strstr(ravine_last_error(), "is NULL") == NULL)
    return failed("no model");
  if (ravine_model_load("/none") != NULL || strstr(ravine_last_error(), "No such file") == NULL)
    return failed("no file");
  if (ravine_set_num_threads(0) == 0) return failed("no threads");
  ravine_arrays_free(arrays);
  ravine_model_free(model);
  ravine_step_free(step);
  ravine_step_free(NULL);
  return 0;
}
