package example;

/** In a jar of its own, which the program adds by its address. */
public class Greeting {
  public static String text() {
    return "from another jar";
  }
}
